"""What is exchanged with a stand-in: requests, replies, and how a request goes wrong when that is ordered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Request:
    """What came in. Header names are in lower case; `at` is by the monotonic clock, in seconds."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float


@dataclass(frozen=True)
class Reply:
    """What goes out."""

    status: int
    content: Any = None  # JSON, unless it is a text
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """As it is sent."""
        if isinstance(self.content, str):
            return self.content.encode()
        return b"" if self.content is None else json.dumps(self.content).encode()


@dataclass(frozen=True)
class Fault:
    """How a request goes wrong. Without `processed` the provider does nothing of what it was asked."""

    reply: Reply | None = None  # None: the connection is reset, without an answer
    processed: bool = False  # it does what it was asked; the answer is lost or comes late
    delay: float = 0.0  # seconds before the answer

    @classmethod
    def status(cls, status: int, content: Any = "", **headers: str) -> Self:
        """Another answer; header names with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(Reply(status, content, named))

    @classmethod
    def reset(cls) -> Self:
        """The connection is cut before anything is done."""
        return cls()

    @classmethod
    def lost(cls) -> Self:
        """All is done, and the connection is cut instead of an answer."""
        return cls(processed=True)

    @classmethod
    def hang(cls, seconds: float, *, processed: bool = False) -> Self:
        """No answer for so long, then none at all."""
        return cls(processed=processed, delay=seconds)


def read_json(request: Request) -> dict[str, Any] | None:
    """The body if it is a JSON object."""
    try:
        content = json.loads(request.body)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def texts(value: object) -> Iterable[str]:
    """All texts anywhere in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)
