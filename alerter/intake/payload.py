"""Alertmanager's webhook, version 4, as 0.25 to 0.34 send it.

Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config. Each alert's own status counts: the
group's is wrong where alerts were cut off (`truncatedAlerts`). Fields that are not known are not looked at.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from alerter.model import Alert, Status, digest

VERSION = "4"
_GZIP = 16 + zlib.MAX_WBITS
_LARGEST_TIME = 253_402_300_799.0  # the last second of the year 9999


class BadPayload(Exception):
    """The body is no webhook; the text says where and why, and fits on a line."""


class PayloadTooLarge(Exception):
    """Decompressed, the body goes beyond the limit."""


@dataclass(frozen=True)
class Webhook:
    """What one webhook says.

    `truncated` is the number of alerts that the sender left out; `unread` says of those that make no sense where and
    why, each on a line.
    """

    alerts: tuple[Alert, ...]
    truncated: int
    external_url: str
    unread: tuple[str, ...] = ()


def unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """`body` without its content encoding, at most `limit` bytes. Raises BadPayload or PayloadTooLarge."""
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            return _gunzip(body, limit)
    raise BadPayload("the content encoding is not known; send gzip, or plain")


def _gunzip(body: bytes, limit: int) -> bytes:
    pieces: list[bytes] = []
    size, rest = 0, body
    try:
        while rest:  # a gzip file may have several members
            inflate = zlib.decompressobj(_GZIP)
            piece = inflate.decompress(rest, limit + 1 - size)
            size += len(piece)
            pieces.append(piece)
            if size > limit:
                raise PayloadTooLarge
            if not inflate.eof:
                raise BadPayload("the gzip data ends too early")
            rest = inflate.unused_data
    except zlib.error:
        raise BadPayload("the body is not gzip, though its header says so") from None
    return b"".join(pieces)


def decode(body: bytes, source: str) -> Webhook:
    """The alerts in a webhook's body, without those that make no sense. Raises BadPayload if there can be none."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadPayload(f"the body is no JSON: {str(error)[:100]}") from None
    if not isinstance(data, dict):
        raise BadPayload("the body is no JSON object")
    if data.get("version", VERSION) != VERSION:
        raise BadPayload("version: only version 4 of Alertmanager's webhook is known")
    entries = data.get("alerts")
    if not isinstance(entries, list):
        raise BadPayload("alerts: no list")
    external_url = _text(data.get("externalURL", ""))
    group_key = _text(data.get("groupKey", ""))
    truncated = data.get("truncatedAlerts", 0)
    latest: dict[str, Alert] = {}  # one alert told twice in one webhook is what it was told last
    unread = []
    for position, entry in enumerate(entries):
        try:
            alert = _alert(entry, position, source, external_url, group_key)
        except BadPayload as error:
            unread.append(str(error))
        else:
            latest[alert.fingerprint] = alert
    count = truncated if isinstance(truncated, int) else 0
    return Webhook(tuple(latest.values()), count, external_url, tuple(unread))


def _alert(entry: Any, position: int, source: str, external_url: str, group_key: str) -> Alert:
    path = f"alerts[{position}]"
    if not isinstance(entry, dict):
        raise BadPayload(f"{path}: no JSON object")
    status = entry.get("status")
    if status not in ("firing", "resolved"):
        raise BadPayload(f"{path}.status: neither firing nor resolved")
    labels = _texts(entry.get("labels"), f"{path}.labels")
    starts_at = _time(entry.get("startsAt"), f"{path}.startsAt")
    ends_at = _time(entry.get("endsAt"), f"{path}.endsAt")
    if starts_at is None:
        raise BadPayload(f"{path}.startsAt: missing")
    fingerprint = _text(entry.get("fingerprint", "")) or digest(
        *(text for pair in sorted(labels.items()) for text in pair)
    )
    return Alert(
        source=source,
        fingerprint=fingerprint[:128],
        status=Status(status),
        labels=labels,
        annotations=_texts(entry.get("annotations"), f"{path}.annotations"),
        starts_at=starts_at,
        ends_at=ends_at if status == "resolved" else None,
        generator_url=_text(entry.get("generatorURL", "")),
        external_url=external_url,
        group_key=group_key,
    )


def _time(value: Any, path: str) -> float | None:
    """Seconds since the epoch; None for nothing and for the year 1, Go's way to say so."""
    if value in (None, ""):
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.year == 1:
            return None
        seconds = moment.timestamp()
    except (TypeError, ValueError, OverflowError):
        raise BadPayload(f"{path}: no time as RFC 3339 has it") from None
    if moment.tzinfo is None:
        raise BadPayload(f"{path}: no time zone")
    return min(max(seconds, 0.0), _LARGEST_TIME)


def _texts(value: Any, path: str) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadPayload(f"{path}: no JSON object")
    return {_text(key): _text(each) for key, each in value.items()}


def _text(value: Any) -> str:
    """As every store and every provider can have it: without NUL and without halves of characters."""
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
    if text.isascii():
        return text.replace("\0", "\ufffd") if "\0" in text else text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
