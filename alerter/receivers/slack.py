"""Slack: one message for the alerts of a group, updated as they change, with their history in its thread.

Source: https://docs.slack.dev/reference/methods/chat.postMessage, chat.update, and incoming webhooks, which give no
`ts`: by them each change is a message of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from alerter.messages import blocks
from alerter.messages.telling import Telling, tell
from alerter.messages.templates import Template
from alerter.model import Action, Mark
from alerter.receivers.base import Accepted, DeliveryFailed, Memory, Message, Rate, ReceiverContext, Tells
from alerter.receivers.options import HiddenUrl, HttpOptions, ServiceUrl
from alerter.receivers.slack_words import Refused, failure_of
from alerter.receivers.wire import Wire, reveal, reveal_url
from chassis.secrets import Secret, SecretUrl
from chassis.settings import Settings

KIND = "slack"

_ANEW = frozenset(
    ["message_not_found", "cant_update_message", "edit_window_closed", "thread_not_found", "cannot_reply_to_message"]
)
_SMALLER = frozenset(
    ["msg_too_long", "msg_blocks_too_long", "invalid_blocks", "invalid_blocks_format", "invalid_payload"]
)
_LOUD = frozenset({Mark.REPEAT, Mark.ESCALATION, Mark.FALLBACK})


class SlackTemplates(Settings):
    """Texts instead of the built-in ones. Data is escaped: a label mentions nobody."""

    text: Template | None = Field(None, description="The message, in Slack's mrkdwn; 3000 characters at most.")


class Options(HttpOptions):
    """Tells a channel."""

    kind: Literal["slack"] = Field(description="The way to tell.")
    token: Secret | None = Field(None, description="Bot token with `chat:write`.")
    channel: str = Field(
        "", validate_default=True, max_length=100, description="The channel's name or, better, id; with `token`."
    )
    webhook_url: HiddenUrl | None = Field(
        None,
        validate_default=True,
        description="An incoming webhook instead of token and channel; its messages are not updated.",
    )
    url: ServiceUrl = Field("https://slack.com/api", description="Where the Web API is.")
    follow_up: Literal["update", "thread", "both"] = Field(
        "update", description="Changes update the message, or are told in its thread, or both."
    )
    rate: Rate = Field(Rate(1, 1), description="Messages at most; above it they are told as one that counts them.")
    templates: SlackTemplates = Field(default_factory=SlackTemplates, description="Texts of your own.")

    @field_validator("channel")
    @classmethod
    def _somewhere(cls, channel: str, info: ValidationInfo) -> str:
        if info.data.get("token") is not None and not channel.strip():
            raise ValueError("missing; write the channel's name, e.g. '#ops-alerts', or its id")
        return channel

    @field_validator("webhook_url")
    @classmethod
    def _one_way(cls, url: SecretUrl | None, info: ValidationInfo) -> SecretUrl | None:
        if "token" in info.data and (info.data["token"] is None) == (url is None):
            raise ValueError("either token and channel or webhook_url is needed (each may be given by _file)")
        return url


class SlackReceiver:
    """One channel."""

    kind = KIND
    tells = Tells.GROUP
    actions = frozenset(Action)

    def __init__(self, options: Options, context: ReceiverContext) -> None:
        self.name = options.name
        self.rate = options.rate
        self._options = options
        self._context = context
        secrets: list[Secret] = [each for each in (options.token, options.webhook_url) if each is not None]
        self._wire = Wire(options.timeout, secrets, options.ca_file)

    def send(self, message: Message) -> Accepted:
        """As `Receiver.send`."""
        telling = tell(message, self._context.clock.now(), self._context.external_url)
        content = self._content(telling)
        try:
            if self._options.webhook_url is not None:
                note = self._smaller("", content, telling)[1]
                return Accepted(note=note)
            return self._tell(message, telling, content)
        except Refused as refused:
            raise failure_of(refused, self._wire, message.progress) from None

    def close(self) -> None:
        """As `Receiver.close`."""
        self._wire.close()

    def _tell(self, message: Message, telling: Telling, content: dict[str, Any]) -> Accepted:
        place = {name: message.memory[name] for name in ("channel", "ts") if name in message.memory}
        if len(place) == 2:
            try:
                note = self._follow(message, telling, content, place)
                return Accepted(_after(telling, place), note)
            except Refused as refused:
                if refused.word not in _ANEW:
                    raise
        channel = self._options.channel
        answer, note = self._smaller("chat.postMessage", {"channel": channel, **content}, telling)
        place = {"channel": str(answer.get("channel") or channel), "ts": str(answer.get("ts") or "")}
        return Accepted(_after(telling, place), note)

    def _follow(self, message: Message, telling: Telling, content: dict[str, Any], place: Memory) -> str:
        """What changed, at the message that is there already."""
        note = ""
        done = message.progress.get("updated") == place["ts"]
        if self._options.follow_up != "thread" and not done:
            _, note = self._smaller("chat.update", {**content, **place}, telling)
        # An update makes no sound; what is meant to does so by a reply that the channel sees.
        loud = bool(_LOUD & message.marks)
        if self._options.follow_up != "update" or loud:
            reply = {"channel": place["channel"], "thread_ts": place["ts"], "text": blocks.news(telling), **_QUIET}
            if loud:
                reply["reply_broadcast"] = True
            try:
                self._call("chat.postMessage", reply)
            except DeliveryFailed as failure:
                failure.progress = {"updated": place["ts"]}
                raise
            except Refused as refused:
                if refused.word in _ANEW:
                    raise
                raise failure_of(refused, self._wire, {"updated": place["ts"]}) from None
        return note

    def _content(self, telling: Telling) -> dict[str, Any]:
        template = self._options.templates.text
        if template is None:
            return {"text": blocks.plain(telling), "blocks": blocks.blocks(telling), **_QUIET}
        text = self._context.templates.text(
            self.name, template, telling, lambda: "", escape=blocks.escape, limit=blocks.SECTION
        )
        if not text:  # it failed
            return {"text": blocks.plain(telling), "blocks": blocks.blocks(telling), **_QUIET}
        return {"text": text, **_QUIET}

    def _smaller(self, method: str, content: dict[str, Any], telling: Telling) -> tuple[Mapping[str, Any], str]:
        """The answer; where Slack finds it too large or not to its taste, as plain text instead, once."""
        try:
            return self._call(method, content), ""
        except Refused as refused:
            if refused.word not in _SMALLER:
                raise
            # An update without blocks would keep the old ones.
            plain = {**content, "text": blocks.plain(telling), "blocks": []}
            if method != "chat.update":
                del plain["blocks"]
            return self._call(method, plain), f"sent plain: Slack said {refused.word}"

    def _call(self, method: str, content: dict[str, Any]) -> Mapping[str, Any]:
        body = json.dumps(content).encode()
        kind = "application/json; charset=utf-8"
        if self._options.webhook_url is not None:
            answer = self._wire.post(reveal_url(self._options.webhook_url, "webhook_url"), body, kind)
            word = answer.text.strip()
            if answer.status == 200 and word == "ok":
                return {}
            raise Refused(word if word.replace("_", "").isalpha() and len(word) < 50 else "", answer)
        assert self._options.token is not None  # noqa: S101  # the options hold one of the two
        token = reveal(self._options.token, "token")
        answer = self._wire.post(f"{self._options.url}/{method}", body, kind, {"Authorization": f"Bearer {token}"})
        said = answer.content
        if not isinstance(said, dict):
            raise Refused("", answer)
        if said.get("ok") is True:
            return said
        raise Refused(str(said.get("error", "")), answer)


_QUIET = {"unfurl_links": False, "unfurl_media": False}


def _after(telling: Telling, place: Memory) -> Memory:
    """Where the next change of the group goes; once all is over, to a message of its own."""
    return {} if telling.over or telling.storm or not place["ts"] else place


def build(options: Options, context: ReceiverContext) -> SlackReceiver:
    """A receiver of this kind."""
    return SlackReceiver(options, context)
