"""The alerter's configuration file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from alerter import receivers
from alerter.messages.clean import link
from alerter.receivers.options import ReceiverOptions
from alerter.routing.matchers import Matcher
from alerter.routing.options import Names, Route, Target
from alerter.routing.plan import Plan, Routing
from alerter.routing.quiet import QuietPeriod
from chassis import document
from chassis.address import Address
from chassis.log import LogSettings
from chassis.secrets import SecretUrl
from chassis.settings import Mistake, Settings, SettingsError, load
from chassis.units import duration, found, size
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
        (Matcher.parse('alertname=~"(Postwatch)?(Exporter|Sampler).*|PostwatchDeadMan"'),),
        description="While an alert fires that matches, nothing is closed: what cannot be seen is not over.",
    )

    @field_validator("alertmanagers")
    @classmethod
    def _are_urls(cls, given: tuple[SecretUrl, ...]) -> tuple[SecretUrl, ...]:
        wrong = [n for n, each in enumerate(given) if each.path is None and not link(each.reveal())]
        if wrong:  # never what was found, which may hold a password
            raise ValueError(f"[{wrong[0]}] is no URL of an Alertmanager; write e.g. http://127.0.0.1:9093")
        return given


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
        if url and not link(url):
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
    try:
        settings = load(path, AlerterSettings, environ)
    except SettingsError as error:
        told = {mistake.path for mistake in error.mistakes}
        more = (mistake for mistake in _dangling(path, environ) if mistake.path not in told)
        raise SettingsError((*error.mistakes, *more)) from None
    mistakes = (*_dangling(path, environ), *_open_doors(settings))
    if mistakes:
        raise SettingsError(mistakes)
    return settings.model_copy(update={"storage": _beside(path, settings.storage)})


def _beside(path: Path, storage: SecretUrl) -> SecretUrl:
    """A file that is relative counts from the configuration's folder, as all do: each command finds the daemon's."""
    file = "" if storage.path else storage.reveal().partition("sqlite:///")[2]
    if not file or file.startswith(("/", ":", "file:", "?")):
        return storage
    return SecretUrl(f"sqlite:///{(path.parent / file).absolute()}")


def _dangling(path: Path, environ: Mapping[str, str]) -> list[Mistake]:
    """Names that nothing bears, in whatever can be read of the file, so that they are told with all other mistakes."""
    try:
        data = document.read(path.read_text(encoding="utf-8"), environ).data
    except (OSError, ValueError):
        return []
    return list(_references(data)) if isinstance(data, dict) else []


def _references(data: Mapping[str, Any]) -> Iterator[Mistake]:
    names = [_in(each, "name") for each in _list(data, "receivers")]
    periods = [_in(each, "name") for each in _list(data, "quiet_periods")]
    yield from _doubles("receivers", names)
    yield from _doubles("quiet_periods", periods)
    targets = [(f"routes[{n}]", route) for n, route in enumerate(_list(data, "routes"))]
    for path, target in (*targets, ("default", _in(data, "default"))):
        yield from _unknown(f"{path}.receivers", _list(target, "receivers"), names, "receiver")
        for section in ("fallback", "escalate"):
            others = _list(_in(target, section), "receivers")
            yield from _unknown(f"{path}.{section}.receivers", others, names, "receiver")
        yield from _unknown(f"{path}.quiet", _list(target, "quiet"), periods, "quiet period")
    yield from _unknown("deadman.receivers", _list(_in(data, "deadman"), "receivers"), names, "receiver")


def _in(data: Any, key: str) -> Any:
    return data.get(key) if isinstance(data, dict) else None


def _list(data: Any, key: str) -> list[Any]:
    found = _in(data, key)
    return found if isinstance(found, list) else []


def _doubles(path: str, names: list[Any]) -> Iterator[Mistake]:
    for position, name in enumerate(names):
        if name is not None and name in names[:position]:
            yield Mistake(f"{path}[{position}].name", f"{found(name)} is taken; every name has to be its own")


def _unknown(path: str, given: Iterable[Any], known: list[Any], what: str) -> Iterator[Mistake]:
    for position, name in enumerate(given):
        if name not in known:
            allowed = ", ".join(dict.fromkeys(each for each in known if isinstance(each, str))) or "none is configured"
            yield Mistake(f"{path}[{position}]", f"no {what} is named {found(name)}; there are: {allowed}")


def _open_doors(settings: AlerterSettings) -> Iterator[Mistake]:
    if not settings.web.listen.is_loopback and not settings.web.authenticates:
        yield Mistake(
            "web.listen",
            f"{settings.web.listen} can be reached from outside, so a proof is needed:"
            " give web.bearer_token_file or web.basic_auth, or listen on 127.0.0.1",
        )


def remarks(settings: AlerterSettings, now: float) -> Iterator[str]:
    """What is allowed, and probably not meant, in sentences."""
    if not settings.receivers:
        yield "nobody would be told: name your receivers under `receivers`"
        return
    used = {name for target in (*settings.routes, settings.default) for name in target.names}
    used |= set(settings.deadman.receivers) if settings.deadman else set()
    for options in settings.receiver_options():
        if options.name not in used:
            yield f"receiver {options.name!r} is told by no route"
    if settings.deadman is None:
        yield "no deadman: nobody would notice that alerts stop to come"
    yield from _told_by_itself(settings, now)


def _told_by_itself(settings: AlerterSettings, now: float) -> Iterator[str]:
    """An outage of mail must not be told by mail alone; whether a server is watched, the exporter alone knows."""
    needs = {options.name: options.needs for options in settings.receiver_options() if options.needs}
    for host in dict.fromkeys(needs.values()):
        for service in (host, host.partition(".")[0], "smtp", "mail"):
            labels = {"alertname": "ServiceDown", "kind": "smtp", "service": service, "target": service}
            plans = [settings.routing.plan({**labels, "severity": each}, now) for each in ("critical", "warning")]
            told = [_everybody(plan) for plan in plans]
            if any(names and all(needs.get(name) == host for name in names) for names in told):
                yield (
                    f"if {host} is down, that would be told through {host} alone: where it is one of the services that"
                    f" are watched, add a receiver that does without it (service={service!r} was tried)"
                )
                break


def _everybody(plan: Plan) -> set[str]:
    """Whoever is told at any time."""
    at_once = {planned.receiver for planned in plan.told} | {name for each in plan.told for name in each.fallback}
    return at_once | {name for later in plan.escalations for name in later.receivers}
