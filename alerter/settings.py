"""The alerter's configuration file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from alerter import receivers
from alerter.receivers.options import ReceiverOptions
from alerter.routing.matchers import Matcher
from alerter.routing.options import Names, Route, Target
from alerter.routing.plan import Routing
from alerter.routing.quiet import QuietPeriod
from chassis.address import Address
from chassis.log import LogSettings
from chassis.secrets import SecretUrl
from chassis.settings import Mistake, Settings, SettingsError, load
from chassis.units import duration, size
from chassis.web import WebSettings

DAY = 86400.0
PACE = Annotated[float, duration(min=1)]
MAX_BODY = 64 << 20

_KINDS: Any = reduce(or_, (kind.Options for kind in receivers.KINDS))
AnyReceiver = Annotated[_KINDS, Field(discriminator="kind")] if len(receivers.KINDS) > 1 else _KINDS


class AlerterWeb(WebSettings):
    """Where and to whom the alerter answers."""

    listen: Address = Field(Address("127.0.0.1", 9798), description="host:port; `:port` alone is every interface.")
    max_body: Annotated[int, size(min=1)] = Field(MAX_BODY, description="Larger webhooks are refused, unpacked too.")


class Reconcile(Settings):
    """Closes incidents whose end no Alertmanager will ever tell, since the alert was silenced or forgotten."""

    alertmanagers: tuple[SecretUrl, ...] = Field((), description="Addresses of all of them; none: it never happens.")
    after: Annotated[float, duration(min=60)] = Field(300.0, description="How long it has to be gone from all.")
    every: PACE = Field(60.0, description="Time between looks.")
    sources: tuple[str, ...] = Field(("default",), description="Sources whose alerts these Alertmanagers have.")
    unless: tuple[Matcher, ...] = Field(
        (Matcher.parse('alertname=~"(Postwatch)?(Exporter|Sampler).*"'),),
        description="While an alert fires that matches, nothing is closed: what cannot be seen is not over.",
    )


class Deadman(Settings):
    """An alert that always fires; when it stays away, nothing else would come either."""

    match: Annotated[tuple[Matcher, ...], Field(min_length=1)] = Field(description="Which alert it is.")
    every: Annotated[float, duration(min=1)] = Field(180.0, description="It has to arrive that often.")
    receivers: Names = Field(description="Who is told when it does not.")


class Feed(Settings):
    """What happened lately, at `/api/v1/alerts`."""

    keep: PACE = Field(DAY, description="How far it goes back unless asked for more.")


class History(Settings):
    """What happened."""

    keep: Annotated[float, duration(min=3600)] = Field(365 * DAY, description="Older alerts that ended are deleted.")


class Audit(Settings):
    """Who did what: acknowledgements, replays, reloads, refused log-ins."""

    keep: Annotated[float, duration(min=365 * DAY)] = Field(2557 * DAY, description="Older entries are deleted.")


class AlerterSettings(Settings):
    """Everything the alerter understands."""

    web: AlerterWeb = Field(default_factory=AlerterWeb, description="Where and to whom it answers.")
    log: LogSettings = Field(default_factory=LogSettings, description="What it logs, and how.")
    storage: SecretUrl = Field(
        SecretUrl("sqlite:///alerter.db"),
        description="Where it keeps all: `sqlite:////absolute/path` or `postgresql+psycopg://…`.",
    )
    external_url: str = Field("", description="Where people reach it, for links in messages.")
    receivers: tuple[AnyReceiver, ...] = Field((), description="Who can be told, and how.")  # type: ignore[valid-type]  # made of the registry
    routes: tuple[Route, ...] = Field((), description="Which alerts go to whom.")
    default: Target = Field(default_factory=Target, description="Who is told of alerts that no route matches.")
    quiet_periods: tuple[QuietPeriod, ...] = Field((), description="Hours in which routes may tell nobody.")
    reconcile: Reconcile = Field(default_factory=Reconcile, description="Closes what Alertmanager forgot.")
    deadman: Deadman | None = Field(None, description="Tells when alerts stop to come.")
    feed: Feed = Field(default_factory=Feed, description="What happened lately.")
    history: History = Field(default_factory=History, description="What happened.")
    audit: Audit = Field(default_factory=Audit, description="Who did what.")

    @field_validator("storage")
    @classmethod
    def _is_a_store(cls, storage: SecretUrl) -> SecretUrl:
        if storage.path is None and not storage.reveal().startswith(("sqlite:///", "postgresql+psycopg://")):
            raise ValueError("no store; write sqlite:////absolute/path.db or postgresql+psycopg://user@host/database")
        return storage

    @field_validator("external_url")
    @classmethod
    def _is_a_url(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("no URL; write e.g. https://alerts.example.com")
        return url.rstrip("/")

    def receiver_options(self) -> tuple[ReceiverOptions, ...]:
        """The configured receivers, by what all kinds share."""
        return self.receivers

    @property
    def routing(self) -> Routing:
        """The decisions that the routes stand for."""
        return Routing(self.routes, self.default, {period.name: period for period in self.quiet_periods})


def read(path: Path, environ: Mapping[str, str]) -> AlerterSettings:
    """The settings in the file at `path`. Raises SettingsError with all mistakes."""
    settings = load(path, AlerterSettings, environ)
    mistakes = tuple(contradictions(settings))
    if mistakes:
        raise SettingsError(mistakes)
    return settings


def contradictions(settings: AlerterSettings) -> Iterator[Mistake]:
    """Where one section does not fit another."""
    names = [options.name for options in settings.receiver_options()]
    yield from _doubles("receivers", names)
    periods = [period.name for period in settings.quiet_periods]
    yield from _doubles("quiet_periods", periods)
    targets: list[tuple[str, Target]] = [(f"routes[{n}]", route) for n, route in enumerate(settings.routes)]
    for path, target in (*targets, ("default", settings.default)):
        yield from _unknown(f"{path}.receivers", target.receivers, names, "receiver")
        for section in ("fallback", "escalate"):
            if part := getattr(target, section):
                yield from _unknown(f"{path}.{section}.receivers", part.receivers, names, "receiver")
        yield from _unknown(f"{path}.quiet", target.quiet, periods, "quiet period")
    if settings.deadman:
        yield from _unknown("deadman.receivers", settings.deadman.receivers, names, "receiver")
    if not settings.web.listen.is_loopback and not settings.web.authenticates:
        yield Mistake(
            "web.listen",
            f"{settings.web.listen} can be reached from outside, so a proof is needed:"
            " give web.bearer_token_file or web.basic_auth, or listen on 127.0.0.1",
        )


def _doubles(path: str, names: list[str]) -> Iterator[Mistake]:
    for position, name in enumerate(names):
        if name in names[:position]:
            yield Mistake(f"{path}[{position}].name", f"{name!r} is taken; every name has to be its own")


def _unknown(path: str, given: Iterable[str], known: list[str], what: str) -> Iterator[Mistake]:
    for position, name in enumerate(given):
        if name not in known:
            allowed = ", ".join(known) or "none is configured"
            yield Mistake(f"{path}[{position}]", f"no {what} is named {name!r}; there are: {allowed}")
