"""Every metric that the exporter serves, declared once: code, documentation, dashboards and tests read this."""

from exporter.catalogue.host import HOST
from exporter.catalogue.itself import ITSELF, PROCESS
from exporter.catalogue.metric import Metric
from exporter.catalogue.queues import QUEUES
from exporter.catalogue.reputation import REPUTATION
from exporter.catalogue.services import SERVICES
from exporter.catalogue.stores import STORES
from exporter.catalogue.workers import WORKERS

__all__ = ("CATALOGUE", "LABELS", "Metric")

CATALOGUE: tuple[Metric, ...] = (
    *QUEUES,
    *WORKERS,
    *SERVICES,
    *REPUTATION,
    *STORES,
    *HOST,
    *ITSELF,
    *PROCESS,
)

LABELS: dict[str, str] = {
    "source": "The source's `name` in the configuration; of a sampler that belongs to none, empty.",
    "queue": "The queue's name, without `queue:` before it and without a priority behind it; `_other`: see above.",
    "priority": "`high`, `normal` or `low`.",
    "state": "Of jobs: `scheduled`, `waiting`, `active`, `failed`. Of workers: `active`, `paused`, `draining`, `dead`.",
    "outcome": "How a job ended: `completed`, `failed`, `cancelled`, `expired`.",
    "error": "The class of an error, such as `TimeoutError`; `_other` where it names none, or past the first 20.",
    "level": "What a threshold is for: `warning` and `critical` colour a status, `page` wakes someone.",
    "kind": "Of drift: `missing_in_redis`, `missing_in_postgres`, `expired`.",
    "worker": "The worker's id, as it names itself.",
    "sampler": "The kind of work: `changes`, `counts`, `failed`, `workers`, `drift`.",
    "reason": "Why a run failed, a word of the list above.",
    "version": "Version of Postwatch.",
    "python": "Version of Python.",
}
