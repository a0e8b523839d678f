"""System: PostgreSQL, Redis and the host."""

from deploy.grafana.boards import Board, Section, Variable
from deploy.grafana.colours import GREEN, RED, UP, YELLOW, steps
from deploy.grafana.panels import Line, Look, lines, tile
from deploy.grafana.promql import JOB, RATE, quantile, ratio

DATABASE = Variable("database", "Database", 'postwatch_postgres_up{job=~"$job"}')
REDIS = Variable("redis", "Redis", 'postwatch_redis_up{job=~"$job"}')
INSTANCE = Variable("instance", "Host (exporter)", 'postwatch_host_cpu_usage_ratio{job=~"$job"}')
OF_DATABASE = f'{JOB},database=~"$database"'
OF_REDIS = f'{JOB},redis=~"$redis"'
OF_HOST = f'{JOB},instance=~"$instance"'
FULL = steps(GREEN, (0.8, YELLOW), (0.9, RED))


def postgres(what: str, how: str = "max") -> str:
    return f"{how} by (database) (postwatch_postgres_{what}{{{OF_DATABASE}}})"


def redis(what: str, how: str = "max") -> str:
    return f"{how} by (redis) (postwatch_redis_{what}{{{OF_REDIS}}})"


def per_second(metric: str, matchers: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{{{matchers}}}[{RATE}]))"


def host(what: str) -> str:
    return f"postwatch_host_{what}{{{OF_HOST}}}"


USED = ratio(postgres("connections", "sum"), postgres("connections_limit"))
MEMORY = ratio(redis("memory_used_bytes"), redis("memory_max_bytes"))
HITS = per_second("postwatch_redis_keyspace_hits_total", OF_REDIS, "redis")
MISSES = per_second("postwatch_redis_keyspace_misses_total", OF_REDIS, "redis")

TILES = (
    tile("PostgreSQL", "Whether every chosen database answers a query.", f"min({postgres('up')})", "none",
        mappings=UP),
    tile("Redis", "Whether every chosen Redis answers.", f"min({redis('up')})", "none", mappings=UP, width=2),
    tile("Connections free", "Connections left in the fullest pool of PgBouncer, or else to the fullest server."
        " Red below 2, which pages.", f"min(database:pool_connections_available{{{OF_DATABASE}}})", "none",
        colours=steps(RED, (2, YELLOW), (10, GREEN)), width=4),
    tile("Oldest transaction", "How long the oldest open transaction has been open. Old ones keep dead rows alive.",
        f"time() - min({postgres('oldest_transaction_timestamp_seconds', 'min')})", "s", decimals=0,
        colours=steps(GREEN, (300, YELLOW), (900, RED)), nothing="None open", width=4),
    tile("Slowest answer", "What 99 % of our own probe queries of the last 5 minutes stayed within; the slowest"
        " database.",
        "max(histogram_quantile(0.99, sum by (le, database)"
        f" (rate(postwatch_postgres_ping_seconds_bucket{{{OF_DATABASE}}}[5m]))) >= 0)",
        "s"),
    tile("CPU", "Part of the processors in use, on the busiest host.", f"max({host('cpu_usage_ratio')})", "percentunit",
        colours=FULL, decimals=0, nothing="Not watched"),
    tile("Memory", "Part of the memory in use, on the fullest host.", f"max({host('memory_usage_ratio')})",
        "percentunit", colours=FULL, decimals=0, nothing="Not watched", width=2),
    tile("Fullest disk", "Part of the fullest file system in use.", f"max({host('disk_usage_ratio')})", "percentunit",
        colours=FULL, decimals=0, nothing="Not watched"),
)  # fmt: skip

BOARD = Board(
    uid="postwatch-system",
    title="System: PostgreSQL, Redis, host",
    question="Do PostgreSQL, Redis or the host hold the queues up?",
    variables=(DATABASE, REDIS, INSTANCE),
    alerts="DatabaseConnectionPoolExhausted|Service(Down|Degraded)",
    sections=(
        Section(
            "",
            (
                *TILES,
                lines("Database connections", "Connections of clients by state, and how many the server accepts.",
                    "short",
                    Line(f"sum by (database, state) (postwatch_postgres_connections{{{OF_DATABASE}}})",
                        "{{database}}: {{state}}"),
                    Line(postgres("connections_limit"), "{{database}}: limit"),
                    looks=(Look("/limit$/", RED, dashed=True),), width=8, height=10),
                lines("Answer time of PostgreSQL", "What 99 % and half of our own probe queries stayed within.", "s",
                    Line(quantile(0.99, "postwatch_postgres_ping_seconds", OF_DATABASE, "database"),
                        "{{database}}: 99 % within"),
                    Line(quantile(0.5, "postwatch_postgres_ping_seconds", OF_DATABASE, "database"),
                        "{{database}}: half within"), width=8, height=10),
                lines("CPU usage", "Part of the processors in use, by exporter's host; in a container, of its limit.",
                    "percentunit", Line(host("cpu_usage_ratio"), "{{instance}}"), most=1, width=8, height=10,
                    nothing="Not watched"),
            ),
        ),
        Section(
            "Host",
            (
                lines("Memory usage", "Part of the memory in use; in a container, of its limit.", "percentunit",
                    Line(host("memory_usage_ratio"), "{{instance}}"), most=1, nothing="Not watched"),
                lines("Disk usage", "Part of each file system in use.", "percentunit",
                    Line(host("disk_usage_ratio"), "{{mount}}"), most=1, nothing="Not watched"),
                lines("Disk I/O", "Bytes read from and written to each disk a second.", "Bps",
                    Line(per_second("postwatch_host_disk_read_bytes_total", OF_HOST, "device"), "{{device}}: read"),
                    Line(per_second("postwatch_host_disk_written_bytes_total", OF_HOST, "device"),
                        "{{device}}: written"), nothing="Not watched"),
                lines("Network throughput", "Bytes received and sent by each interface a second.", "Bps",
                    Line(per_second("postwatch_host_network_receive_bytes_total", OF_HOST, "device"),
                        "{{device}}: received"),
                    Line(per_second("postwatch_host_network_transmit_bytes_total", OF_HOST, "device"),
                        "{{device}}: sent"), nothing="Not watched"),
            ),
        ),
        Section(
            "PostgreSQL",
            (
                lines("Connections in use", "Of the limit: of PgBouncer's pools where it is read, else of the server.",
                    "short",
                    Line(f"database:pool_connections_in_use{{{OF_DATABASE}}}", "In use: {{database}} {{pool}}"),
                    Line(f"database:pool_connections_available{{{OF_DATABASE}}}", "Free: {{database}} {{pool}}")),
                lines("Statements", "Statements of all clients a second, by command, from pg_stat_statements.",
                    "ops",
                    Line(per_second("postwatch_postgres_statements_total", OF_DATABASE, "database, command"),
                        "{{database}}: {{command}}"), nothing="Needs pg_stat_statements"),
                lines("Average statement", "How long a statement of each command took on average.", "s",
                    Line(
                        ratio(
                            per_second("postwatch_postgres_statement_seconds_total", OF_DATABASE, "database, command"),
                            per_second("postwatch_postgres_statements_total", OF_DATABASE, "database, command"),
                        ),
                        "{{database}}: {{command}}",
                    ), nothing="Needs pg_stat_statements"),
                lines("Oldest open transaction", "How long it has been open. Absent while none is.", "s",
                    Line(f"time() - {postgres('oldest_transaction_timestamp_seconds', 'min')}", "{{database}}"),
                    nothing="None open"),
                lines("Dead rows", "Rows of queue tables that wait for vacuum, estimated.", "short",
                    Line(f"max by (database, table) (postwatch_postgres_dead_tuples{{{OF_DATABASE}}})",
                        "{{database}}: {{table}}")),
                lines("Deadlocks", "Deadlocks a minute.", "deadlocks/min",
                    Line(f"60 * {per_second('postwatch_postgres_deadlocks_total', OF_DATABASE, 'database')}",
                        "{{database}}")),
            ),
        ),
        Section(
            "Redis",
            (
                lines("Redis memory", "Memory in use, and the limit where one is set.", "bytes",
                    Line(redis("memory_used_bytes"), "{{redis}}: in use"),
                    Line(redis("memory_max_bytes"), "{{redis}}: limit"),
                    looks=(Look("/limit$/", RED, dashed=True),)),
                lines("Redis commands", "Commands a second.", "ops",
                    Line(per_second("postwatch_redis_commands_total", OF_REDIS, "redis"), "{{redis}}")),
                lines("Redis clients", "Connections of clients, ours included.", "short",
                    Line(redis("connected_clients"), "{{redis}}")),
                lines("Answer time of Redis", "What 99 % of our own pings stayed within.", "s",
                    Line(quantile(0.99, "postwatch_redis_ping_seconds", OF_REDIS, "redis"), "{{redis}}")),
                lines("Keys by kind", "Keys of the logical database by kind; an estimate where there are many.",
                    "short", Line(f"sum by (redis, kind) (postwatch_redis_keys{{{OF_REDIS}}})", "{{redis}}: {{kind}}")),
                lines("Keys that go away", "Keys a second that were evicted for want of memory, or expired."
                    " Evicted queues are lost queues.", "ops",
                    Line(per_second("postwatch_redis_evicted_keys_total", OF_REDIS, "redis"), "{{redis}}: evicted"),
                    Line(per_second("postwatch_redis_expired_keys_total", OF_REDIS, "redis"), "{{redis}}: expired"),
                    looks=(Look("/evicted$/", RED),)),
                lines("Lookups that found their key", "Part of all lookups. A worker that polls empty lists misses.",
                    "percentunit", Line(ratio(HITS, f"({HITS} + {MISSES})"), "{{redis}}"), most=1, width=24),
            ),
        ),
    ),
)  # fmt: skip
