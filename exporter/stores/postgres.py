"""Health of a PostgreSQL database: what `postwatch_postgres_*` tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chassis.exposition import Distribution, Reading
from chassis.units import format_duration
from exporter.clients.postgres import Busy
from exporter.clients.session import Session
from exporter.jobs.histogram import Histogram
from exporter.model import Reason, Remark, SampleFailed
from exporter.parts import Level, Line, Part, PartContext, Table
from exporter.sampling.sampler import Run
from exporter.stores.absence import Absence, Absences
from exporter.stores.dead_tuples import dead_tuples
from exporter.stores.options import PostgresOptions
from exporter.stores.part import StorePart
from exporter.stores.pgbouncer import Pools
from exporter.stores.statements import METRICS as OF_STATEMENTS
from exporter.stores.statements import Statements, Support

PING_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)  # seconds
NEARLY_FULL = 0.8  # of the connections, from which the table warns
OLD = 600.0  # seconds that a transaction is open, from which the table warns
TEXTS_EVERY = 4  # intervals of the statements between readings of their texts

# Values of the label `state` by pg_stat_activity's; a session that has not got there has none, before 18.
STATES = {
    "active": "active",
    "idle": "idle",
    "idle in transaction": "idle_in_transaction",
    "idle in transaction (aborted)": "idle_in_transaction_aborted",
    "fastpath function call": "fastpath_function_call",
    "disabled": "disabled",
    "starting": "starting",
    None: "starting",
}
FIGURES = """
select clock_timestamp(), pg_has_role('pg_read_all_stats', 'usage'), quote_ident(current_user),
       current_setting('max_connections')::int4,
       (select deadlocks from pg_stat_database where datname = current_database()),
       (select min(started) from (
            select xact_start from pg_stat_activity
            where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
            union all select prepared from pg_prepared_xacts where database = current_database()
        ) open (started))
"""
CONNECTIONS = "select state, count(*) from pg_stat_activity where backend_type = 'client backend' group by state"


@dataclass(frozen=True)
class Figures:
    """What one look told, for the table. None: not known."""

    up: bool | None = None
    connections: int | None = None
    limit: int | None = None
    ping: float | None = None  # seconds
    oldest: float | None = None  # seconds that the oldest transaction is open
    deadlocks: int | None = None


class PostgresHealth(StorePart):
    """One watched database."""

    def __init__(self, options: PostgresOptions, context: PartContext) -> None:
        self._options = options
        self._labels = {**context.labels, **options.labels, "database": options.name}
        self._database, account = context.database(options.url, options.budget)
        super().__init__("postgres", options, context, account)
        self._ping = Histogram(PING_BUCKETS)
        self._statements = Statements()
        self._statements_due = self._texts_due = float("-inf")  # monotonic
        self._absences = Absences(self.name)
        self._figures = Figures()
        self._pools: Pools | None = None
        if options.pgbouncer is not None:
            console, self._console_account = context.database(options.pgbouncer, options.budget)
            self._pools = Pools(console)

    def continue_from(self, before: Part) -> None:
        """As `Part.continue_from`: sums go on, also where the name now stands for another database."""
        if not isinstance(before, PostgresHealth):
            return
        self._ping, self._statements = before._ping, before._statements
        if before._options.url != self._options.url:
            self._statements.forget()

    def sample(self, run: Run) -> None:
        """Look once at the database, and at PgBouncer if there is one; each is told even if the other fails."""
        failures: list[SampleFailed] = []
        try:
            self._look(run)
        except SampleFailed as failure:
            failures.append(failure)
        if self._pools is not None:
            # With a time of its own: the database may have used up all there was.
            aside = Run(run.clock, run.limit / 2)
            try:
                run.publish(f"{self.name}: pools", self._pools.look(aside, self._labels))
            except SampleFailed as failure:
                failures.append(failure)
            finally:
                run.spent(aside.source_seconds, self._console_account)
        if failures:
            raise failures[0]

    def _look(self, run: Run) -> None:
        answered = False
        try:
            with self._database.session(run) as tx:
                began = run.clock.monotonic()
                tx.row("select 1")
                ping = run.clock.monotonic() - began
                self._ping.observe(ping)
                answered = True
                self._tell(run, up=True)
                tx.begin()
                self._read(run, tx, ping)
        except Busy:
            raise
        except SampleFailed:
            if not answered:
                self._figures = Figures(up=False)
                self._tell(run, up=False)
            raise

    def _tell(self, run: Run, *, up: bool) -> None:
        run.publish(
            f"{self.name}: up",
            [
                Reading("postwatch_postgres_up", self._labels, float(up)),
                Reading("postwatch_postgres_ping_seconds", self._labels, Distribution(*self._ping.snapshot())),
            ],
        )

    def _read(self, run: Run, tx: Session, ping: float) -> None:
        now, sees_all, role, limit, deadlocks, oldest = tx.row(FIGURES)
        readings = [
            Reading("postwatch_postgres_connections_limit", self._labels, limit),
            Reading("postwatch_postgres_deadlocks_total", self._labels, deadlocks),
        ]
        connections: int | None = None
        if sees_all:
            states = _by_state(tx)
            connections = sum(states.values())
            for state, count in states.items():
                readings.append(Reading("postwatch_postgres_connections", {**self._labels, "state": state}, count))
            if oldest is not None:
                name = "postwatch_postgres_oldest_transaction_timestamp_seconds"
                readings.append(Reading(name, self._labels, oldest))
        age = None if oldest is None or not sees_all else now - oldest
        self._figures = Figures(True, connections, limit, ping, age, deadlocks)
        self._absences.say("rights", _without_rights(role, sees_all=sees_all))
        readings += dead_tuples(tx, self._context.tables(self._account), self._labels)
        run.publish(f"{self.name}: figures", readings)
        if sees_all and run.clock.monotonic() >= self._statements_due:
            self._read_statements(run, tx, role)

    def _read_statements(self, run: Run, tx: Session, role: str) -> None:
        support = Support.read(tx)
        missing = list(support.absences(role))
        self._absences.say("statements", missing)
        interval = self._options.statements.interval
        self._statements_due = run.clock.monotonic() + interval
        if missing:
            return
        reset = support.reset(tx)
        rows = support.rows(tx)
        if reset != support.reset(tx):
            return  # in between: next time is soon enough
        self._statements.take(support.history, rows, reset)
        if (unnamed := self._statements.unnamed) and run.clock.monotonic() >= self._texts_due:
            self._texts_due = run.clock.monotonic() + TEXTS_EVERY * interval
            self._statements.name(support.texts(tx, unnamed))
        run.publish(f"{self.name}: statements", self._statements.readings(self._labels))

    def table(self) -> Table:
        """As `Part.table`."""
        seen = self._figures
        level, word = _judge(seen, self._pools.waiting if self._pools else None)
        cells = (
            self._options.name,
            _number(seen.connections),
            _number(seen.limit),
            _seconds(seen.ping, 4),
            _seconds(seen.oldest, 0),
            _number(seen.deadlocks),
        )
        columns = ("database", "#connections", "#of", "#ping", "#oldest transaction", "#deadlocks")
        return Table("PostgreSQL", columns, (Line(cells, word, level),))

    def check(self, run: Run) -> list[Remark]:
        """As `Part.check`."""
        remarks: list[Remark] = []
        try:
            with self._database.session(run) as tx:
                tx.begin()
                _, sees_all, role, *_ = tx.row(FIGURES)
                missing = list(_without_rights(role, sees_all=sees_all))
                missing += Support.read(tx).absences(role)
                remarks += [absence.remark(self.name) for absence in missing]
        except SampleFailed as failure:
            remarks.append(Remark(self.name, failure.message, failure.advice, fatal=True))
        if self._pools is not None:
            try:
                self._pools.look(Run(run.clock, run.limit / 2), self._labels)
            except SampleFailed as failure:
                remarks.append(Remark(self.name, failure.message, failure.advice, fatal=True))
        return remarks


def _by_state(tx: Session) -> dict[str, int]:
    """Connections of clients by the label `state`; what PostgreSQL may add to its states is `other`."""
    states = dict.fromkeys([*STATES.values(), "other"], 0)
    for state, count in tx.rows(CONNECTIONS):
        states[STATES.get(state, "other")] += count
    return states


def _without_rights(role: str, *, sees_all: bool) -> Iterator[Absence]:
    if not sees_all:
        hidden = ("postgres_connections", "postgres_oldest_transaction_timestamp_seconds", *OF_STATEMENTS)
        text = "the role does not see other sessions and their statements"
        yield Absence(Reason.PERMISSION, text, f"grant pg_monitor to {role};", hidden)


def _judge(seen: Figures, waiting: int | None) -> tuple[Level, str]:
    if seen.up is None:
        return Level.UNKNOWN, "unknown"
    if not seen.up:
        return Level.BAD, "down"
    if seen.connections and seen.limit and seen.connections >= NEARLY_FULL * seen.limit:
        return Level.WARNING, "nearly full"
    if waiting:
        return Level.WARNING, f"{waiting} clients wait"
    if seen.oldest is not None and seen.oldest > OLD:
        return Level.WARNING, "old transaction"
    return Level.GOOD, "up"


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _seconds(value: float | None, digits: int) -> str:
    return "–" if value is None else format_duration(round(value, digits))
