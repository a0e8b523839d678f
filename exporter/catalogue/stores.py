"""Health of PostgreSQL and Redis themselves."""

from __future__ import annotations

from chassis.exposition import Kind
from exporter.catalogue.metric import COUNTER, GAUGE, HISTOGRAM, Metric, declare

_LOOK = "each look (`interval`, 5 s)"
_STATEMENTS = "every 15 s, or each look (`interval`) if that is longer"
_KEYS = "shares of kinds: each `keys.interval` (30 s); the number of keys: each look (`interval`, 5 s)"


def _postgres(
    name: str,
    kind: Kind,
    more: str,
    unit: str,
    help: str,
    query: str,
    source: str = "PostgreSQL",
    fresh: str = _LOOK,
) -> Metric:
    labels = ("database", *more.split())
    return declare("PostgreSQL", labels, f"postgres_{name}", kind, unit, source, fresh, help, query)


def _redis(name: str, kind: Kind, more: str, unit: str, help: str, query: str, fresh: str = _LOOK) -> Metric:
    return declare("Redis", ("redis", *more.split()), f"redis_{name}", kind, unit, "Redis", fresh, help, query)


STORES = (
    _postgres("up", GAUGE, "", "0 or 1",
        "1 if the database answers a query, 0 if it cannot be reached or does not answer in time.",
        "postwatch_postgres_up == 0"),
    _postgres("connections", GAUGE, "state", "connections",
        "Connections of clients to the whole server by state, ours included; needs the role pg_monitor.",
        "sum by (database) (postwatch_postgres_connections) / on (database) postwatch_postgres_connections_limit"),
    _postgres("connections_limit", GAUGE, "", "connections",
        "Connections that the server accepts in all: its max_connections.", "postwatch_postgres_connections_limit"),
    _postgres("pool_connections", GAUGE, "pool state", "connections",
        "Connections of a pool of PgBouncer, by side and state; absent unless `pgbouncer` is given.",
        'postwatch_postgres_pool_connections{state="client_waiting"} > 0', source="PgBouncer"),
    _postgres("pool_connections_limit", GAUGE, "pool", "connections",
        "Connections to the server that PgBouncer opens for a pool at the most, without its reserve.",
        "postwatch_postgres_pool_connections_limit", source="PgBouncer"),
    _postgres("ping_seconds", HISTOGRAM, "", "seconds",
        "Time from asking the database for `select 1` to its answer, over a connection that stands.",
        "histogram_quantile(0.99, sum by (le, database) (rate(postwatch_postgres_ping_seconds_bucket[5m])))"),
    _postgres("statements_total", COUNTER, "command", "statements",
        "Statements of clients that the database ran since the exporter started, by their command.",
        "sum by (database, command) (rate(postwatch_postgres_statements_total[5m]))",
        source="pg_stat_statements", fresh=_STATEMENTS),
    _postgres("statement_seconds_total", COUNTER, "command", "seconds",
        "Time that the database spent on those statements.",
        "rate(postwatch_postgres_statement_seconds_total[5m]) / rate(postwatch_postgres_statements_total[5m])",
        source="pg_stat_statements", fresh=_STATEMENTS),
    _postgres("oldest_transaction_timestamp_seconds", GAUGE, "", "epoch seconds",
        "When the oldest transaction open in the database began, prepared ones included; absent while none is.",
        "time() - postwatch_postgres_oldest_transaction_timestamp_seconds > 600"),
    _postgres("deadlocks_total", COUNTER, "", "deadlocks",
        "Deadlocks found in the database, by its own count.", "increase(postwatch_postgres_deadlocks_total[1h]) > 0"),
    _postgres("dead_tuples", GAUGE, "table", "rows",
        "Dead rows that wait for vacuum in tables of queues configured here, partitions included; an estimate.",
        "postwatch_postgres_dead_tuples > 100000"),
    _redis("up", GAUGE, "", "0 or 1",
        "1 if Redis answers, of a cluster all primaries; 0 if it cannot be reached or does not answer in time.",
        "postwatch_redis_up == 0"),
    _redis("connected_clients", GAUGE, "", "connections", "Connections of clients, ours included.",
        "postwatch_redis_connected_clients"),
    _redis("memory_used_bytes", GAUGE, "", "bytes", "Memory that Redis has allocated.",
        "postwatch_redis_memory_used_bytes / on (redis) postwatch_redis_memory_max_bytes"),
    _redis("memory_max_bytes", GAUGE, "", "bytes",
        "Memory that Redis may allocate, its maxmemory; absent without a limit.", "postwatch_redis_memory_max_bytes"),
    _redis("commands_total", COUNTER, "", "commands", "Commands processed, by Redis' own count.",
        "rate(postwatch_redis_commands_total[5m])"),
    _redis("keyspace_hits_total", COUNTER, "", "lookups", "Lookups of keys that were there, by Redis' own count.",
        "rate(postwatch_redis_keyspace_hits_total[5m])"),
    _redis("keyspace_misses_total", COUNTER, "", "lookups", "Lookups of keys that were not there, by Redis' own count.",
        "rate(postwatch_redis_keyspace_misses_total[5m])"),
    _redis("evicted_keys_total", COUNTER, "", "keys", "Keys removed for want of memory, by Redis' own count.",
        "increase(postwatch_redis_evicted_keys_total[10m]) > 0"),
    _redis("expired_keys_total", COUNTER, "", "keys", "Keys removed at the end of their lifetime, by Redis' own count.",
        "rate(postwatch_redis_expired_keys_total[5m])"),
    _redis("keys", GAUGE, "kind", "keys",
        "Keys of the logical database by kind: exact up to `keys.sample` (1,000) of them, else estimated by a sample.",
        "sum by (kind) (postwatch_redis_keys)", _KEYS),
    _redis("ping_seconds", HISTOGRAM, "", "seconds",
        "Time from asking Redis for PING to its answer, of a cluster each primary's.",
        "histogram_quantile(0.99, sum by (le, redis) (rate(postwatch_redis_ping_seconds_bucket[5m])))"),
)  # fmt: skip
