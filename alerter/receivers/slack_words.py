"""Slack's words for why it did not do something, and what each means for the delivery.

Source: the errors of https://docs.slack.dev/reference/methods/chat.postMessage, chat.update and incoming webhooks.
"""

from __future__ import annotations

from alerter.model import Reason
from alerter.receivers.base import DeliveryFailed, Memory
from alerter.receivers.wire import Answer, Wire

_AGAIN = {
    "internal_error": Reason.UNAVAILABLE,
    "fatal_error": Reason.UNAVAILABLE,
    "service_unavailable": Reason.UNAVAILABLE,
    "team_added_to_org": Reason.UNAVAILABLE,
    "rollup_error": Reason.UNAVAILABLE,
    "request_timeout": Reason.TIMEOUT,
    "ratelimited": Reason.RATE_LIMITED,
    "rate_limited": Reason.RATE_LIMITED,
}
_CREDENTIAL = frozenset(
    [
        "invalid_auth",
        "not_authed",
        "token_revoked",
        "token_expired",
        "account_inactive",
        "missing_scope",
        "invalid_token",
        "no_service",
        "no_team",
        "team_disabled",
    ]
)
_TOO_LONG = frozenset({"msg_too_long", "msg_blocks_too_long"})
_ADVICE = {
    "channel_not_found": "; correct `channel`, or invite the app to it",
    "not_in_channel": "; invite the app to the channel",
    "is_archived": "; the channel is archived",
    "channel_is_archived": "; the channel is archived",
    "missing_scope": "; the app needs chat:write",
}


class Refused(Exception):
    """Slack's own word for why it did not do something."""

    def __init__(self, word: str, answer: Answer) -> None:
        super().__init__(word)
        self.word = word
        self.answer = answer


def failure_of(refused: Refused, wire: Wire, progress: Memory) -> DeliveryFailed:
    """What a word means, or else the status; `progress` is for a next attempt, if there may be one."""
    word, answer = refused.word, refused.answer
    text = f"{answer.host} said {wire.said(word, 60)}{_ADVICE.get(word, '')}"
    if word in _AGAIN:
        return DeliveryFailed(_AGAIN[word], text, retry=True, after=answer.retry_after, progress=progress)
    if word in _CREDENTIAL:
        return DeliveryFailed(Reason.AUTH, text, retry=True, opens_circuit=True, progress=progress)
    if word and answer.status < 500 and answer.status not in (401, 408, 429):
        reason = Reason.TOO_LARGE if word in _TOO_LONG else Reason.REJECTED
        return DeliveryFailed(reason, text, retry=False)
    if answer.status == 200:
        text = f"{answer.host} answered with something that is not Slack's; is a proxy in between?"
        return DeliveryFailed(Reason.UNAVAILABLE, text, retry=True, progress=progress)
    failure = wire.failure(answer, word)
    failure.progress = progress
    return failure
