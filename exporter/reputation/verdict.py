"""What an answer of a blocklist means: a pure function of the answer (RFC 5782, sections 2.1 and 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

from exporter.reputation.known import REFUSALS, UNSPECIFIED

LISTINGS = IPv4Network("127.0.0.0/8")
RESERVED = IPv4Network("127.255.255.0/24")  # for refusals, known ones or not


class Result(StrEnum):
    """Label `result`: how a question to a list ended."""

    LISTED = "listed"
    CLEAN = "clean"
    BLOCKED = "blocked"  # the list refuses to answer us
    TIMEOUT = "timeout"
    ERROR = "error"  # an answer that tells nothing of the address

    @property
    def true(self) -> bool:
        """Whether it says something of the address; anything else leaves the last verdict as it was."""
        return self in (Result.LISTED, Result.CLEAN)


@dataclass(frozen=True)
class Response:
    """What a resolver answered."""

    rcode: str  # NOERROR, NXDOMAIN, SERVFAIL, …
    addresses: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    ttl: float | None = None  # seconds; of a negative answer by its SOA (RFC 2308); None: not told


@dataclass(frozen=True)
class Rules:
    """How a list's answers are read. `codes` empty: not known, any answer inside 127/8 is a listing."""

    codes: Mapping[str, str] = field(default_factory=dict)  # category by code
    refusals: Mapping[str, str] = field(default_factory=lambda: REFUSALS)  # what to say, by code

    def category(self, code: str) -> str:
        """Label `category` of a code."""
        return self.codes.get(code, UNSPECIFIED)


@dataclass(frozen=True)
class Verdict:
    """What a question was good for. `why` tells of anything but a true answer."""

    result: Result
    codes: tuple[str, ...] = ()
    why: str = ""


def judge(response: Response, rules: Rules) -> Verdict:
    """The verdict of a list on the address asked for."""
    if response.rcode == "NXDOMAIN" or (response.rcode == "NOERROR" and not response.addresses):
        return Verdict(Result.CLEAN)
    if response.rcode != "NOERROR":
        return Verdict(Result.ERROR, why=f"the resolver answered {response.rcode}")
    outside = [address for address in response.addresses if IPv4Address(address) not in LISTINGS]
    if outside:
        return Verdict(Result.ERROR, why=f"the resolver rewrites answers: {outside[0]} is no code of a list")
    for address in response.addresses:
        if address in rules.codes:
            continue
        if address in rules.refusals:
            return Verdict(Result.BLOCKED, why=rules.refusals[address])
        if IPv4Address(address) in RESERVED:
            return Verdict(Result.BLOCKED, why=f"the list refuses to answer, with {address}")
    codes = [address for address in response.addresses if not rules.codes or address in rules.codes]
    if not codes:
        strange = ", ".join(sorted(response.addresses))
        return Verdict(Result.ERROR, why=f"the list does not define its answer {strange}; see `codes`")
    return Verdict(Result.LISTED, tuple(sorted(codes, key=IPv4Address)))
