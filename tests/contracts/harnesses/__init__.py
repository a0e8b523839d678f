"""A harness for each kind of queue source: `HARNESSES` of a module, by name; one line here."""

from tests.contracts.harness import Maker
from tests.contracts.harnesses import hybrid, pgboss, pgmq

# By kind: the layouts or versions of it that the suite runs over.
HARNESSES: dict[str, dict[str, Maker]] = {
    "hybrid": hybrid.HARNESSES,
    "pgboss": pgboss.HARNESSES,
    "pgmq": pgmq.HARNESSES,
}
