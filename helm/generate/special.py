"""Settings that are read by functions: what their annotations do not tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import IPvAnyAddress

from alerter.receivers.options import HiddenUrl, Rate
from alerter.routing.matchers import Matcher
from alerter.routing.quiet import Days, TimeOfDay
from chassis.address import Address
from chassis.secrets import Secret, SecretUrl
from chassis.shape import Shape
from exporter.queues.hybrid.layout import Layout
from exporter.reputation.options import Resolver, Zone
from exporter.services.expect import ExpectOptions
from helm.generate.marks import Keywords, text

_HIDDEN = Shape.of(HiddenUrl).marks
_REFERENCE = r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}$"
# A user may stand before the host, but no password: that belongs into a file.
_ADDRESS = r"^[^@]*$|^[A-Za-z0-9+.-]+://[^@:/]*@[^@]*$|\$\{"
_DAY = "(?:mon|tue|wed|thu|fri|sat|sun)"
_TIME = "(?:[01]?[0-9]|2[0-4]):[0-5][0-9]"
_STATUS: Keywords = {
    "type": ["integer", "string"],
    "minimum": 100,
    "maximum": 599,
    "pattern": text("[1-5](?:[0-9]{2}|xx)"),
}

BY_KIND: dict[Any, Keywords] = {
    Address: {"type": "string", "pattern": text(r"(?:\[[0-9A-Fa-f:.]+(?:%[0-9A-Za-z_]+)?\]|[^\s:/@\[\]]*):[0-9]{1,5}")},
    Resolver: {"type": "string", "pattern": text(r"[0-9A-Fa-f:.]+|(?:\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+):[0-9]{1,5}")},
    IPvAnyAddress: {"type": "string", "pattern": text(r"[0-9A-Fa-f:.]+")},
    Matcher: {"type": "string", "pattern": text(r"[^=!]+(?:=|!=|=~|!~)(?:.|\n)*")},
    Days: {"type": "string", "pattern": text(f"(?i:{_DAY}(?: ?- ?{_DAY})?(?: ?, ?{_DAY}(?: ?- ?{_DAY})?)*)")},
    TimeOfDay: {"type": ["string", "integer"], "minimum": 0, "maximum": 1440, "pattern": text(_TIME)},
    Rate: {"type": "string", "pattern": text(r"[0-9]{1,6} ?/ ?(?:s|sec|min|m|h)")},
    # A zone that holds a paid key is a secret.
    Zone: {"type": "string", "pattern": text("[A-Za-z0-9_.-]+"), "not": {"pattern": r"(?i)\.dq\.spamhaus\."}},
    SecretUrl: {"type": "string", "minLength": 1, "pattern": _ADDRESS},
    Secret: {"type": "string", "pattern": _REFERENCE},
}  # fmt: skip

BY_FIELD: dict[tuple[type, str], Keywords] = {
    (ExpectOptions, "status"): {**_STATUS, "type": ["integer", "string", "array"], "items": _STATUS, "minItems": 1},
}

# A model that a text stands for, too.
SHORT: dict[type, Callable[[Keywords], Keywords]] = {
    Layout: lambda model: {"anyOf": [{"enum": ["penguinmails", "basic"]}, model]},
}


def secret(shape: Shape) -> Keywords | None:
    """What may stand in a ConfigMap in a secret's place; None if it is none."""
    for member in shape.members:
        if isinstance(member.kind, type) and issubclass(member.kind, Secret):
            hidden = any(mark in _HIDDEN for mark in (*shape.marks, *member.marks))
            return BY_KIND[Secret] if hidden else BY_KIND.get(member.kind, BY_KIND[Secret])
    return None
