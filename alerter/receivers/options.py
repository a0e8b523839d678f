"""Options that receivers share: all of them, and those that speak HTTP."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, StringConstraints
from pydantic_core import CoreSchema, core_schema

from alerter.messages.telling import Telling
from alerter.messages.texts import plain
from chassis.address import Address
from chassis.secrets import SecretUrl
from chassis.settings import InputFile, Settings
from chassis.units import duration, found

_RATE = re.compile(r"(\d{1,6})\s*/\s*(s|sec|min|m|h)", re.ASCII)
_SECONDS = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
Timeout = Annotated[float, duration(min=0.1, max=25)]  # shorter than a lease of the outbox


@dataclass(frozen=True)
class Rate:
    """So many messages in so many seconds."""

    count: int
    seconds: float

    @classmethod
    def parse(cls, value: object) -> Self:
        """The rate in '120/min', '1/s', '10/h'; ValueError says how to write one."""
        if isinstance(value, cls):
            return value
        match = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None or int(match[1]) == 0:
            raise ValueError(f"{found(value)} is no rate; write e.g. 120/min, 1/s, 10/h")
        return cls(int(match[1]), _SECONDS[match[2]])

    @property
    def per_second(self) -> float:
        """Messages a second."""
        return self.count / self.seconds

    def __str__(self) -> str:
        return f"{self.count}/{'s' if self.seconds == 1 else 'min' if self.seconds == 60 else 'h'}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.parse, serialization=core_schema.to_string_ser_schema())


def check_url(url: str) -> str:
    """`url` if a message may be sent there: https, or http on this machine. ValueError says what is wrong."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is no URL; write e.g. https://example.com") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("is no URL of a web service; write e.g. https://example.com")
    if parts.username is not None or parts.fragment:
        raise ValueError("has a user or a fragment, which have no place here")
    if any(character <= " " or character == "\x7f" for character in url):
        raise ValueError("has blanks or control characters in it")
    if parts.scheme == "http" and not Address(host, port or 80).is_loopback:
        raise ValueError("is not encrypted; https is needed except on this machine (127.0.0.1, localhost)")
    return url


def _service_url(url: str) -> str:
    return check_url(url).rstrip("/")


def _secret_url(secret: SecretUrl) -> SecretUrl:
    if secret.path is None:
        check_url(secret.reveal())
    return secret


ServiceUrl = Annotated[str, AfterValidator(_service_url)]
"""The address of an API: https, or http on this machine."""
HiddenUrl = Annotated[SecretUrl, AfterValidator(_secret_url)]
"""An address that lets in whoever knows it."""


class ReceiverOptions(Settings):
    """Options of any receiver; a kind adds its own, and its provider's limit as the default of `rate`."""

    name: Name = Field(description="What routes call it, and label `receiver`: letters, digits, `_`, `.`, `-`.")
    rate: Rate = Field(Rate(60, 60), description="Messages at most; above it they are told as one that counts them.")
    timeout: Timeout = Field(10.0, description="Time limit for each step of a delivery.")

    @property
    def needs(self) -> str:
        """The host without which it reaches nobody, if it may be one of those that are watched; else empty."""
        return ""

    def preview(self, telling: Telling) -> str:
        """What people read of it, in the built-in words."""
        return plain(telling)


class HttpOptions(ReceiverOptions):
    """Options of receivers that speak HTTP."""

    ca_file: InputFile | None = Field(None, description="PEM certificates to trust instead of the usual ones.")
