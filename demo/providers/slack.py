"""Slack's Web API and an incoming webhook. Source: https://docs.slack.dev/reference/methods/chat.postMessage"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from demo.providers.exchange import Reply, Request, read_json, texts
from demo.providers.server import Limit, StandIn

BLOCKS = 50
SECTION = 3000  # characters
ALTOGETHER = 13_000  # characters of all blocks
TEXT = 40_000  # characters
_MENTION = re.compile(r"<(?:!(?:channel|here|everyone|subteam\^)|[@#][A-Z0-9])")
_TYPES = {"section", "context", "actions", "divider", "header"}


@dataclass
class Posted:
    """One message as a reader sees it."""

    channel: str
    ts: str
    text: str
    blocks: list[dict[str, Any]]
    thread_ts: str = ""
    broadcast: bool = False
    edits: int = 0
    history: list[str] = field(default_factory=list)  # texts that it had before
    attachments: list[dict[str, Any]] = field(default_factory=list)  # the old way, Alertmanager's own

    @property
    def shown(self) -> str:
        """All that is written there: of blocks if there are any."""
        return "\n".join(texts([self.blocks or self.text, self.attachments]))


class Slack(StandIn):
    """One workspace with some channels; `hook_url` is an incoming webhook to the first of them."""

    def __init__(
        self,
        token: str = "xoxb-stand-in-token",  # noqa: S107
        channels: dict[str, str] | None = None,
        *,
        rate: int = 1,
        delay: float = 0.0,
    ) -> None:
        """`channels` are ids by name; `rate` is the messages a second in each channel."""
        super().__init__(delay=delay)
        self.token = token
        self.channels = channels or {"#ops-alerts": "C024BE91L"}
        self.archived: set[str] = set()
        self.edit_window_closed = False
        self.posts: list[Posted] = []
        self.mentions: list[str] = []  # texts that would have called people
        self._limit = Limit(rate, 1.0)
        self._count = 0

    @property
    def hook_url(self) -> str:
        """An incoming webhook; whoever knows it may post."""
        return f"{self.url}/services/T000/B000/{self.token}"

    def messages(self) -> list[Posted]:
        """What stands in the channels, without replies."""
        return [post for post in self.posts if not post.thread_ts]

    @property
    def shown(self) -> str:
        """All that can be read there."""
        return "\n".join(post.shown for post in list(self.posts))

    def replies(self, ts: str) -> list[Posted]:
        """The thread of a message."""
        return [post for post in self.posts if post.thread_ts == ts]

    def answer(self, request: Request) -> Reply:
        content = read_json(request)
        if request.path.startswith("/services/"):
            return self._hook(request, content)
        method = request.path.removeprefix("/")
        if method not in ("chat.postMessage", "chat.update"):
            return _error("unknown_method")
        if not request.headers.get("content-type", "").startswith("application/json") or content is None:
            return _error("invalid_json")
        authorization = request.headers.get("authorization", "")
        if not authorization:
            return _error("not_authed")
        if authorization != f"Bearer {self.token}":
            return _error("invalid_auth")
        if wrong := self._refusal(content):
            return _error(wrong)
        return self._post(content, request.at) if method == "chat.postMessage" else self._update(content)

    def _post(self, content: dict[str, Any], now: float) -> Reply:
        channel = self._channel(content.get("channel"), names=True)
        if channel is None:
            return _error("channel_not_found")
        if channel in self.archived:
            return _error("is_archived")
        thread = str(content.get("thread_ts", ""))
        if thread and not any(post.ts == thread and post.channel == channel for post in self.posts):
            return _error("thread_not_found")
        if wait := self._limit.take(channel, now):
            return Reply(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": str(math.ceil(wait))})
        post = self._keep(channel, content, thread)
        return Reply(200, {"ok": True, "channel": channel, "ts": post.ts, "message": {"text": post.text}})

    def _update(self, content: dict[str, Any]) -> Reply:
        channel = self._channel(content.get("channel"), names=False)
        if channel is None:
            return _error("channel_not_found")
        found = [post for post in self.posts if post.channel == channel and post.ts == content.get("ts")]
        if not found:
            return _error("message_not_found")
        if self.edit_window_closed:
            return _error("edit_window_closed")
        (post,) = found
        post.history.append(post.text)
        post.text, post.edits = str(content.get("text", "")), post.edits + 1
        if "blocks" in content:
            post.blocks = content["blocks"]
        return Reply(200, {"ok": True, "channel": channel, "ts": post.ts, "text": post.text})

    def _hook(self, request: Request, content: dict[str, Any] | None) -> Reply:
        if not request.path.endswith(f"/{self.token}"):
            return Reply(404, "no_service")
        if content is None:
            return Reply(400, "invalid_payload")
        if wrong := self._refusal(content):
            return Reply(400, wrong)
        channel = next(iter(self.channels.values()))
        if channel in self.archived:
            return Reply(410, "channel_is_archived")
        if wait := self._limit.take(channel, request.at):
            return Reply(429, "rate_limited", {"Retry-After": str(math.ceil(wait))})
        self._keep(channel, content, "")
        return Reply(200, "ok")

    def _keep(self, channel: str, content: dict[str, Any], thread: str) -> Posted:
        self._count += 1
        post = Posted(
            channel,
            f"1700000000.{self._count:06}",
            str(content.get("text", "")),
            content.get("blocks") or [],
            thread,
            bool(content.get("reply_broadcast")),
            attachments=content.get("attachments") or [],
        )
        self.posts.append(post)
        return post

    def _channel(self, given: object, *, names: bool) -> str | None:
        if given in self.channels.values():
            return str(given)
        if not names:
            return None
        return self.channels.get(str(given)) or self.channels.get(f"#{given}")

    def _refusal(self, content: dict[str, Any]) -> str:
        """Slack's word for what is wrong with a message; nothing if it is right."""
        blocks = content.get("blocks") or []
        text = str(content.get("text", ""))
        attachments = content.get("attachments") or []
        if not blocks and not text and not attachments:
            return "no_text"
        if not isinstance(attachments, list) or not all(isinstance(each, dict) for each in attachments):
            return "invalid_attachments"
        if len(text) > TEXT:
            return "msg_too_long"
        if not isinstance(blocks, list) or len(blocks) > BLOCKS or not all(_is_block(each) for each in blocks):
            return "invalid_blocks"
        if sum(len(each) for each in texts(blocks)) > ALTOGETHER:
            return "msg_blocks_too_long"
        self.mentions += [each for each in texts([text, blocks, attachments]) if _MENTION.search(each)]
        return ""


def _is_block(block: object) -> bool:
    if not isinstance(block, dict) or block.get("type") not in _TYPES:
        return False
    elements = block.get("elements", [])
    match block["type"]:
        case "section":
            return _is_text(block.get("text"), SECTION)
        case "context":
            return 1 <= len(elements) <= 10 and all(_is_text(each, SECTION) for each in elements)
        case "actions":
            return 1 <= len(elements) <= 25 and all(_is_button(each) for each in elements)
        case "header":
            return _is_text(block.get("text"), 150, "plain_text")
    return True


def _is_text(value: object, limit: int, kind: str = "") -> bool:
    if not isinstance(value, dict) or value.get("type") not in ({kind} if kind else {"mrkdwn", "plain_text"}):
        return False
    return isinstance(value.get("text"), str) and 1 <= len(value["text"]) <= limit


def _is_button(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.get("type") == "button"
        and _is_text(value.get("text"), 75, "plain_text")
        and len(str(value.get("url", ""))) <= 3000
        and len(str(value.get("action_id", ""))) <= 255
    )


def _error(word: str) -> Reply:
    return Reply(200, {"ok": False, "error": word})
