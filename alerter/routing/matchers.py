"""Matchers as Alertmanager writes them: `severity="critical"`, `alertname!~"Queue.*"`.

Source: https://prometheus.io/docs/alerting/latest/configuration/#matcher (UTF-8 label names in quotes included).
A label that an alert does not have counts as empty. Regular expressions are anchored at both ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from chassis.units import found

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"  # others stand in quotes, and are known to Alertmanager since 0.27
_MATCHER = re.compile(rf"\s*({_QUOTED}|{_NAME})\s*(=~|!~|!=|=)\s*({_QUOTED}|[^\s\"{{}},=!~]*)\s*", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True)
class Matcher:
    """One condition on one label."""

    label: str
    operator: str
    value: str
    _pattern: re.Pattern[str] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def parse(cls, text: object) -> Self:
        """The matcher in `text`; ValueError says how to write one."""
        if isinstance(text, cls):
            return text
        match = _MATCHER.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"{found(text)} is no matcher; write e.g. 'severity=\"critical\"', with = != =~ or !~")
        label, operator, value = _unquoted(match[1]), match[2], _unquoted(match[3])
        if not label:
            raise ValueError(f"{found(text)} names no label")
        if operator not in ("=~", "!~"):
            return cls(label, operator, value)
        try:
            return cls(label, operator, value, re.compile(value, re.DOTALL))
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"{found(text)} has no regular expression behind {operator}: {error}") from None

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert with these labels fulfils it."""
        value = labels.get(self.label, "")
        fulfilled = value == self.value if self._pattern is None else self._pattern.fullmatch(value) is not None
        return fulfilled is not self.operator.startswith("!")

    def __str__(self) -> str:
        label = self.label if re.fullmatch(_NAME, self.label) else _quoted(self.label)
        return f"{label}{self.operator}{_quoted(self.value)}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.parse, serialization=core_schema.to_string_ser_schema())


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether every one is fulfilled; of none that is so."""
    return all(matcher.matches(labels) for matcher in matchers)


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    return _ESCAPE.sub(lambda match: {"n": "\n", '"': '"', "\\": "\\"}.get(match[1], match[0]), text[1:-1])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
