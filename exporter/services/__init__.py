"""Services, as their users meet them: probes. One module a kind, and one line here.

A kind is a module with `KIND`, `Options` (its settings, with `kind`) and `prepare(options, tools) -> Probe`; it may
have `codes(options)`, the HTTP status codes to be served before they are met, and it has `guide() -> str`, its section
of docs/configuration.md. Nowhere else does code compare a kind's name.
"""

from __future__ import annotations

from functools import partial, reduce
from importlib.resources import files
from operator import or_
from types import ModuleType
from typing import Annotated, Any

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from chassis.settings import Settings
from exporter.parts import Part, PartContext
from exporter.queues.guide import Guide
from exporter.services import http, postgres, redis, smtp, tcp
from exporter.services.attempt import Tools
from exporter.services.options import BacklogOptions, ServiceOptions
from exporter.services.part import Services
from exporter.services.target import Target

KINDS: tuple[ModuleType, ...] = (http, tcp, smtp, postgres, redis)

_OPTIONS: Any = reduce(or_, (kind.Options for kind in KINDS))
AnyService = Annotated[_OPTIONS, Field(discriminator="kind")]


class Section(Settings):
    """The part of the configuration that names services."""

    services: tuple[AnyService, ...] = Field((), description="Services to probe.")

    @field_validator("services")
    @classmethod
    def _fits(cls, services: tuple[ServiceOptions, ...], info: ValidationInfo) -> tuple[ServiceOptions, ...]:
        """Names are unique, and a backlog's source is one of `queues`, which were read before."""
        mistakes: list[InitErrorDetails] = []
        sources = [source.name for source in info.data["queues"]] if "queues" in info.data else None
        seen: set[str] = set()
        for position, service in enumerate(services):
            place = (position, kind_of(service).KIND)
            if service.name in seen:
                text = f"another service is named {service.name!r} too; every name has to be its own"
                mistakes.append(_mistake((*place, "name"), service.name, text))
            seen.add(service.name)
            if service.backlog and sources is not None and service.backlog.source not in sources:
                text = f"no source under `queues` has this name; allowed: {', '.join(sources) or 'none, there is none'}"
                mistakes.append(_mistake((*place, "backlog", "source"), service.backlog.source, text))
        if mistakes:
            raise ValidationError.from_exception_data(cls.__name__, mistakes)
        return services


def _mistake(place: tuple[int | str, ...], value: str, text: str) -> InitErrorDetails:
    return InitErrorDetails(type=PydanticCustomError("value_error", "{error}", {"error": text}), loc=place, input=value)


def kind_of(options: ServiceOptions) -> ModuleType:
    """The module that options belong to."""
    return next(kind for kind in KINDS if isinstance(options, kind.Options))


def build(section: Section, context: PartContext) -> list[Part]:
    """One part for all services, if there are any."""
    tools = Tools(context.clock)
    targets = [_target(options, tools, context) for options in section.services]
    return [Services(targets, tools, context)] if targets else []


def _target(options: ServiceOptions, tools: Tools, context: PartContext) -> Target:
    kind = kind_of(options)
    return Target(
        kind.KIND,
        options,
        kind.prepare(options, tools),
        limit=options.timeout or context.timeout,
        stale_after=options.stale_after or context.stale_after,
        labels={**context.labels, **options.labels},
        codes=kind.codes(options) if hasattr(kind, "codes") else (),
        depth=partial(_depth, options.backlog, context),
    )


def _depth(backlog: BacklogOptions | None, context: PartContext) -> int | None:
    return context.depth(backlog.source, backlog.queues) if backlog else None


def guide() -> Guide:
    """The chapters of services, with one section a kind."""
    kinds = "\n\n".join(kind.guide() for kind in KINDS)
    return Guide(_read("configuration.md").replace("<!-- service-kinds -->", kinds), _read("metrics.md"))


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8").strip("\n")
