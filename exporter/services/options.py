"""Options that every service shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from chassis.address import Address
from chassis.settings import Settings
from chassis.units import Duration, Ratio
from exporter.labels import Labels
from exporter.options import Interval, Name, Timeout
from exporter.queues.options import Buckets
from exporter.services.resolver import Family

INTERVAL = 15.0  # seconds
BACKLOG = 5_000  # jobs
BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class BacklogOptions(Settings):
    """Queues whose jobs wait for the service."""

    source: Name = Field(description="Name of a source under `queues`.")
    queues: Sequence[str] = Field(
        ("*",), min_length=1, description="Full names of its queues, e.g. `queue:email-sending`; `*` and `?` may stand."
    )
    degraded: int = Field(BACKLOG, ge=0, description="Above so many waiting jobs in all, the service is degraded.")


class ServiceOptions(Settings):
    """Options of any service."""

    name: Name = Field(description="Label `target`: letters, digits, `_`, `.`, `-`.")
    interval: Interval = Field(INTERVAL, description="Time between probes.")
    timeout: Timeout | None = Field(None, description="Time limit of a whole probe; `defaults.timeout` if not given.")
    stale_after: Interval | None = Field(
        None, description="Gauges without a new value disappear after it; `defaults.stale_after` if not given."
    )
    degraded_after: Duration | None = Field(
        None, description="A probe that takes longer makes the service degraded; if not given, none does."
    )
    error_limit: Ratio = Field(
        0.1, description="Degraded above this share of failures in the last 20 probes; `100%` switches it off."
    )
    down_after: int = Field(3, ge=1, le=1_000, description="Failures in a row that make the service down.")
    recover_after: int = Field(2, ge=1, le=1_000, description="Successes in a row that end that, or end degradation.")
    backlog: BacklogOptions | None = Field(None, description="Queues that make the service degraded when they back up.")
    buckets: Buckets = Field(BUCKETS, description="Upper bounds of the histogram of response times, in seconds.")
    labels: Labels = Field(default_factory=dict, description="Constant labels of all series of this service.")


def _somewhere(address: Address) -> Address:
    if not address.host or not address.port:
        raise ValueError(f"'{address}' does not say where; write e.g. mail.example.com:25 or [2001:db8::25]:25")
    return address


Endpoint = Annotated[Address, AfterValidator(_somewhere)]
"""A host and a port to connect to."""


class NetworkOptions(ServiceOptions):
    """Options of what is found by a host's name."""

    ip: Family = Field("any", description="Which of the host's addresses are used.")
