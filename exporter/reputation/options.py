"""The section `reputation` of the configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, IPvAnyAddress, StringConstraints, ValidationInfo, field_validator

from chassis.address import Address
from chassis.secrets import Secret
from chassis.settings import OutputFile, Settings
from chassis.units import Duration, Ratio, found
from exporter.clients.urls import PostgresUrl
from exporter.labels import Labels
from exporter.options import Interval, Name, Timeout, checked
from exporter.reputation import known
from exporter.reputation.names import FAMILIES, Family, Ip, family_of, plain

DNS_PORT = 53
_LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_ZONE = re.compile(rf"{_LABEL}(?:\.{_LABEL})+", re.ASCII)
LONGEST_ZONE = 253 - 64  # 32 nibbles and their dots stand before it


class Zone(Secret):
    """A list's zone, which may hold a paid key: shown only where it can hold none."""

    __slots__ = ()

    def known(self) -> tuple[str, ...]:
        values = super().known()
        if self.path is not None:
            return tuple(form for value in values for form in _forms(value))
        return tuple(form for value in values if known.paid_key(canonical(value)) for form in _forms(value))


def _forms(zone: str) -> tuple[str, ...]:
    """What of a zone is never to be seen, as it is written and as it is asked for."""
    plain_zone = canonical(zone)
    return tuple(dict.fromkeys(filter(None, (zone, plain_zone, known.paid_key(plain_zone)))))


def canonical(zone: str) -> str:
    """A zone as names are compared: lower case, no dot behind it."""
    return zone.strip().rstrip(".").lower()


def zone_problem(zone: str) -> str:
    """Why a zone cannot be asked, in words that hold no part of it; or nothing."""
    name = canonical(zone)
    if not _ZONE.fullmatch(name) or len(name) > LONGEST_ZONE:
        return "not the name of a DNS zone; write e.g. zen.spamhaus.org"
    if why := known.dead(name):
        return f"{why}; take the list out"
    return ""


def _unmapped(ip: Ip) -> Ip:
    if isinstance(ip, IPv6Address) and ip.scope_id:
        raise ValueError(f"{found(str(ip))} has a scope; no mail is sent from there")
    return plain(ip)


ZoneName = Annotated[Zone, checked(zone_problem)]
SenderIp = Annotated[IPvAnyAddress, AfterValidator(_unmapped)]
Code = Annotated[str, StringConstraints(pattern=r"^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$")]


class Resolver(Address):
    """A resolver as `host:port`, or its IP address alone, which means port 53."""

    @classmethod
    def parse(cls, value: object) -> Self:
        try:
            return cls(str(ip_address(value)), DNS_PORT) if isinstance(value, str) else super().parse(value)
        except ValueError:
            pass
        resolver = super().parse(value)
        if not resolver.host or not resolver.port:
            raise ValueError(f"{found(value)} is no resolver; write e.g. 127.0.0.1, [::1]:5353, unbound:53")
        return resolver


class TestEntries(Settings):
    """Addresses by which a list shows that it works, for one address family."""

    __test__ = False  # no test of pytest's

    listed: IPvAnyAddress = Field(description="An address that the list always lists.")
    clean: IPvAnyAddress = Field(description="An address that the list never lists.")


class TestOptions(Settings):
    """How a list is verified before it is believed."""

    __test__ = False

    enabled: bool = Field(True, description="`false` for a list without test entries: it is believed as it is.")
    ipv4: TestEntries = Field(
        TestEntries(listed=IPv4Address("127.0.0.2"), clean=IPv4Address("127.0.0.1")),
        description="For IPv4; by default 127.0.0.2 and 127.0.0.1 (RFC 5782).",
    )
    ipv6: TestEntries = Field(
        TestEntries(listed=IPv6Address("::ffff:7f00:2"), clean=IPv6Address("::ffff:7f00:1")),
        description="For IPv6; by default ::ffff:7f00:2 and ::ffff:7f00:1 (RFC 5782).",
    )

    @field_validator("ipv4", "ipv6")
    @classmethod
    def _of_their_family(cls, entries: TestEntries, info: ValidationInfo) -> TestEntries:
        for ip in (entries.listed, entries.clean):
            if family_of(ip) != info.field_name:
                raise ValueError(f"{ip} is no address of {info.field_name}")
        return entries


class BlocklistOptions(Settings):
    """A DNS blocklist."""

    name: Name | None = Field(None, description="Label `blocklist`; by default the zone. Required with `zone_file`.")
    zone: ZoneName = Field(
        description="The list's zone, e.g. zen.spamhaus.org. One with a paid key needs a `name`, and is never shown."
    )
    severity: Literal["critical", "warning"] | None = Field(
        None, description="Label `tier`; by default what is known of the list, else `warning`."
    )
    weight: float | None = Field(
        None, ge=0, le=100, description="What a listing takes from the score; by default 40 if critical, else 15."
    )
    families: tuple[Family, ...] = Field(FAMILIES, description="Address families to ask it for: `ipv4`, `ipv6`.")
    queries_per_second: float | None = Field(
        None, gt=0, le=1000, description="To this list alone; by default as many as to all together."
    )
    codes: Mapping[Code, Name] = Field(
        default_factory=dict,
        description="Category by return code, in place of what is known of the list; no other code is a listing then.",
    )
    delisting: str = Field("", description="Page where removal is asked for; known for the common lists.")
    test: TestOptions = Field(default_factory=TestOptions, description="How it is verified before it is believed.")

    @field_validator("families")
    @classmethod
    def _some(cls, families: tuple[Family, ...]) -> tuple[Family, ...]:
        if not families:
            raise ValueError("none given; allowed: ipv4, ipv6")
        return tuple(dict.fromkeys(families))

    @field_validator("zone")
    @classmethod
    def _named(cls, zone: Secret, info: ValidationInfo) -> Secret:
        if info.data.get("name", "") is not None:
            return zone
        if zone.path is not None:
            raise ValueError("a zone from a file needs a `name`: the zone itself is never shown")
        if known.paid_key(canonical(zone.reveal())):
            raise ValueError("a zone that holds a key needs a `name`: the zone itself is never shown")
        return zone

    @property
    def label(self) -> str:
        """Label `blocklist`."""
        return self.name or canonical(self.zone.reveal())


class AddressOptions(Settings):
    """An address that mail is sent from."""

    ip: SenderIp = Field(description="IPv4 or IPv6.")
    provider: str = Field("", max_length=100, description="Label `provider`: whose address it is, e.g. aws.")
    labels: Labels = Field(default_factory=dict, description="Constant labels of all series of this address.")


class ScoreOptions(Settings):
    """The reputation score: 100 less the weights of the lists that list an address."""

    ageing: Ratio = Field(0.5, description="Share of its weight that an old listing takes in addition.")
    full_after: Duration = Field(7 * 86_400.0, description="Age at which it takes all of that; less before.")


class SentTodayOptions(Settings):
    """Mail sent since midnight UTC, by address."""

    postgres: PostgresUrl = Field(description="URL of the database, e.g. postgresql://postwatch@db:5432/mail.")
    query: str = Field(
        min_length=1, description="One row an address: ip, count. Run read-only, with the time zone UTC."
    )
    interval: Interval = Field(60.0, description="Time between runs of the query.")
    timeout: Timeout | None = Field(None, description="Its time limit; `defaults.timeout` if not given.")


class ReputationOptions(Settings):
    """Reputation of the addresses that mail is sent from."""

    interval: Interval = Field(1800.0, description="Time between looks at an address in a list.")
    timeout: Timeout | None = Field(None, description="Time limit of one question; `defaults.timeout` if not given.")
    stale_after: Interval | None = Field(
        None, description="Scores without a new answer disappear after it, or after three intervals if that is longer."
    )
    resolvers: tuple[Resolver, ...] = Field(
        (), description="`host:port`, or an IP address, in order of preference; by default the system's."
    )
    queries_per_second: float = Field(20.0, gt=0, le=1000, description="Questions to all lists together.")
    state_file: OutputFile | None = Field(
        None, description="Where it is kept since when addresses are listed; without it a restart forgets."
    )
    blocklists: tuple[BlocklistOptions, ...] = Field((), description="The lists to ask.")
    addresses: tuple[AddressOptions, ...] = Field((), description="The addresses to ask for.")
    score: ScoreOptions = Field(default_factory=ScoreOptions, description="How the reputation score is reckoned.")
    sent_today: SentTodayOptions | None = Field(None, description="Where it stands how much was sent today.")

    @field_validator("blocklists")
    @classmethod
    def _lists_differ(cls, lists: tuple[BlocklistOptions, ...]) -> tuple[BlocklistOptions, ...]:
        _differ([each.label for each in lists], "two lists are named {!r}; every name has to be its own")
        return lists

    @field_validator("addresses")
    @classmethod
    def _addresses_differ(cls, addresses: tuple[AddressOptions, ...]) -> tuple[AddressOptions, ...]:
        _differ([str(each.ip) for each in addresses], "{!r} is given twice")
        return addresses


def _differ(values: list[str], told: str) -> None:
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise ValueError(told.format(value))
        seen.add(value)
