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
    "state": "Of jobs: `scheduled`, `waiting`, `active`, `failed`. Of workers: `active`, `paused`, `draining`, `dead`. "
    "Of a service: `healthy`, `degraded`, `down`. Of connections: see above.",
    "outcome": "How a job ended: `completed`, `failed`, `cancelled`, `expired`.",
    "error": "The class of an error, such as `TimeoutError`; `_other` where it names none, or past the first 20.",
    "level": "What a threshold is for: `warning` and `critical` colour a status, `page` wakes someone.",
    "kind": "Of a service: how it is probed. Of drift: `missing_in_redis`, `missing_in_postgres`, `expired`. "
    "Of keys: `string`, `list`, `hash`, `set`, `zset`, `stream`.",
    "worker": "The worker's id, as it names itself.",
    "sampler": "The kind of work: `changes`, `counts`, `failed`, `workers`, `drift`, `postgres`, `redis`, `host`.",
    "reason": "Why a run or a probe failed, a word of its list above.",
    "target": "The service's `name` in the configuration.",
    "phase": "Of a probe: `resolve`, `connect`, `tls`, `first_byte`, `transfer`.",
    "database": "The database's `name` in the configuration, under `postgres`.",
    "redis": "The store's `name` in the configuration, under `redis`.",
    "pool": "A pool of PgBouncer, as `database/user`; `_other` past the first 100.",
    "command": "`select`, `insert`, `update`, `delete` or `other`.",
    "table": "A table of queues, as its source names it.",
    "mount": "Where the file system is mounted, as `host.mounts` says.",
    "device": "The disk or the network interface, as the kernel names it.",
    "version": "Version of Postwatch.",
    "python": "Version of Python.",
    "ip": "The address, as `addresses[].ip` says in its shortest form.",
    "blocklist": "The list's `name` in the configuration, by default its zone.",
    "code": "Of a response: its HTTP status, `_other` past the first 20. Of a listing: the address that came back.",
    "category": "What a listing's code means, such as `SBL`; `unspecified` where that is not known.",
    "tier": "The list's `severity`: `critical` or `warning`.",
    "family": "`ipv4` or `ipv6`; those that there are addresses of.",
    "result": "How a question to a list ended: `listed`, `clean`, `blocked`, `timeout`, `error`.",
    "provider": "The address's `provider` in the configuration.",
}
