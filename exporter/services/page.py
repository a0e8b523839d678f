"""Addresses of the web: whether one can be asked, and what the request for it says."""

from __future__ import annotations

import string
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from chassis.address import Address
from exporter.services.failure import Fault, ProbeFailed

PORTS = {"http": 80, "https": 443}


def url_problem(url: str) -> str:
    """What is wrong with an address for HTTP, in words that hold no part of it; or nothing."""
    wrong = "not an address for HTTP; write e.g. https://api.example.com/health"
    if any(ord(character) <= 32 or ord(character) == 127 for character in url):
        return wrong
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return wrong
    if parts.scheme not in PORTS or not parts.hostname or port == 0:
        return wrong
    return "it holds a user or a password; give them by `basic_auth`" if "@" in parts.netloc else ""


@dataclass(frozen=True)
class Page:
    """Where a request goes. `address` is what is dialled, `host` what the header says."""

    scheme: str
    address: Address
    host: str
    path: str

    @classmethod
    def of(cls, url: str) -> Page:
        """Raises ProbeFailed if it is none."""
        if problem := url_problem(url):
            raise ProbeFailed(Fault.PROTOCOL, f"the URL is {problem}" if problem.startswith("not") else problem)
        parts = urlsplit(url)
        name = parts.hostname or ""
        try:
            name = name if name.isascii() else name.encode("idna").decode("ascii")
        except UnicodeError:
            raise ProbeFailed(Fault.RESOLVE, "the URL's host is no name of a host") from None
        default = PORTS[parts.scheme]
        port = parts.port or default
        shown = f"[{name}]" if ":" in name else name
        path = quote(parts.path or "/", safe=string.punctuation)
        if parts.query:
            path += "?" + quote(parts.query, safe=string.punctuation)
        return cls(parts.scheme, Address(name, port), shown if port == default else f"{shown}:{port}", path)

    @property
    def origin(self) -> tuple[str, Address]:
        """Who is told our credentials (RFC 6454)."""
        return self.scheme, self.address
