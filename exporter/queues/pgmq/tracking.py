"""A table of the project's own that tells when jobs were started and how they ended: one row a message."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated

from psycopg import sql
from pydantic import AfterValidator, Field

from chassis.settings import Settings
from exporter.clients.session import Session
from exporter.jobs.book import Active, Book
from exporter.jobs.horizon import Plan, Stretch
from exporter.jobs.journal import Change, Journal, Nobody
from exporter.jobs.ledger import Ledger
from exporter.model import QueueKey, Reason, SampleFailed
from exporter.queues.pgmq.listing import BLOCKS
from exporter.queues.reading.by_time import ByTime, finds_by
from exporter.queues.reading.naming import Namer
from exporter.queues.reading.tables import TIMES, Table, excerpt, read_table, regclass, split_name

ARMS = ("completed", "failed", "started")
OPTIONAL = ("started", "enqueued", "attempt", "error")


def _table_name(value: str) -> str:
    split_name(value)
    return value


Column = Annotated[str, Field(min_length=1, max_length=63)]


class TrackingOptions(Settings):
    """A table with one row a message, brought up to date as the message is worked on."""

    table: Annotated[str, AfterValidator(_table_name)] = Field(description="Its name, with its schema if need be.")
    queue: Column = Field("queue_name", description="The queue's name, as in `pgmq.meta`.")
    msg_id: Column = Field("msg_id", description="The message's number.")
    attempt: Column | None = Field("attempt", description="Number of the attempt, from 1.")
    enqueued: Column | None = Field("enqueued_at", description="When the job was created.")
    started: Column | None = Field("started_at", description="When the last attempt started.")
    completed: Column = Field("completed_at", description="When the job was completed.")
    failed: Column = Field("failed_at", description="When the job failed for good.")
    error: Column | None = Field("error_message", description="The last error; only its class is used.")


class TrackingTable:
    """A `Readable`: the mapped columns meet the table as it is. Raises SampleFailed where they do not."""

    keeps_ends = True

    def __init__(self, options: TrackingOptions, table: Table) -> None:
        self._options = options
        self._table = table
        self.columns = frozenset(
            name for name in OPTIONAL if (column := getattr(options, name)) and column in table.columns
        )
        self._names: dict[str, sql.Composable] = {
            "tracking": table.identifier,
            "queue": self._required(options.queue),
            "message": self._required(options.msg_id),
            "completed": self._time(options.completed),
            "failed": self._time(options.failed),
            "started": self._time(options.started, optional=True),
            "enqueued": self._time(options.enqueued, optional=True),
            "attempt": sql.SQL("{}::int4").format(self._optional("attempt", "null")),
            "error": excerpt(sql.SQL("{}::text").format(self._optional("error", "null"))),
            "completed_column": sql.Identifier(options.completed),
            "failed_column": sql.Identifier(options.failed),
            "started_column": self._optional("started", "null::timestamptz"),
            "older": sql.SQL(""),
        }

    @property
    def names(self) -> tuple[str | None, ...]:
        """As `Readable.names`."""
        return (regclass(self._table.name),)

    @property
    def oids(self) -> tuple[int | None, ...]:
        """As `Readable.oids`."""
        return (self._table.oid,)

    @property
    def read_by(self) -> tuple[int | None, ...]:
        """As `Readable.read_by`."""
        return self.oids

    @cached_property
    def meanings(self) -> dict[str | None, str]:
        """As `Readable.meanings`."""
        return {None: "completed", "failed": "failed", "active": "active"}

    @property
    def shows_xmin(self) -> bool:
        """As `Readable.shows_xmin`."""
        return self._table.shows_xmin

    def query(self, name: str, **more: sql.Composable) -> sql.Composed:
        """As `Readable.query`; `changes`, its three arms `tracked_*`, and `tracking_failed`."""
        names = {**self._names, **more}
        if name != "changes":
            return sql.SQL(BLOCKS[name]).format(**names)
        arms = [self.arm(arm, **more) for arm in ARMS if arm != "started" or "started" in self.columns]
        return sql.SQL("\nunion all\n").join(arms)

    def arm(self, name: str, **more: sql.Composable) -> sql.Composed:
        """The query for one kind of change."""
        return sql.SQL(f"{BLOCKS['tracked']}\n{BLOCKS[f'tracked_{name}']}").format(**{**self._names, **more})

    def unindexed(self, tx: Session) -> list[str]:
        """Mapped columns whose changes no index finds."""
        options, missing = self._options, []
        for arm in ARMS:
            column = getattr(options, arm)
            if arm in OPTIONAL and arm not in self.columns:
                continue
            if not any(finds_by(tx, self.arm(arm), c) for c in {column, options.completed}):
                missing.append(column)
        return missing

    def _required(self, column: str) -> sql.Identifier:
        if column not in self._table.columns:
            raise SampleFailed(
                Reason.MISSING,
                f"table {self._table.name} has no column {column!r}",
                "map the column in `tracking`",
            )
        return sql.Identifier(column)

    def _optional(self, name: str, null: str) -> sql.Composable:
        return sql.Identifier(getattr(self._options, name)) if name in self.columns else sql.SQL(null)

    def _time(self, column: str | None, *, optional: bool = False) -> sql.Composable:
        if column is None or (optional and column not in self._table.columns):
            return sql.SQL("null::timestamptz")
        found = self._required(column)
        kind = self._table.columns[column]
        if kind.name not in TIMES:
            raise SampleFailed(
                Reason.MISMATCH,
                f"column {column!r} of {self._table.name} is {kind.sql}, but a timestamp is needed",
                "map another column in `tracking`",
            )
        return found if kind.name == "timestamptz" else sql.SQL("{}::timestamptz").format(found)


class _NoBook(Book):
    """What waits and runs, the queues themselves tell."""

    def is_active(self, job: int, active: Active) -> None:
        """Nothing to note."""

    def put_off(self, job: int, key: QueueKey, run_at: float) -> None:
        """Nothing to note."""

    def ended(self, job: int, key: QueueKey) -> None:
        """Nothing to note."""


class _Ends(Journal):
    """What is enqueued, the queues' own numbers tell."""

    def _is_creation(self, change: Change) -> bool:  # noqa: ARG002 # of whatever row
        return False


class Tracking:
    """Reads the table into a ledger, each end once. Not thread-safe: its source holds a lock."""

    def __init__(self, options: TrackingOptions, ledger: Ledger) -> None:
        self.options = options
        self._ledger = ledger
        self.namer = Namer(ledger.roster, parse=lambda name: QueueKey(name, "normal"))
        self.table: TrackingTable | None = None
        self.finds_changes = True
        self.begin_afresh()

    def begin_afresh(self) -> None:
        """Another server or another table: what was remembered of the old one means nothing."""
        self._journal = _Ends(self._ledger, _NoBook(), Nobody())
        self._follower: ByTime | None = None

    def forget(self) -> None:
        """Something was not as remembered: look at the table again."""
        self.table = None

    def known(self, tx: Session) -> TrackingTable:
        """The table as it is. Raises SampleFailed if it does not serve."""
        if self.table is not None:
            (oid,) = tx.row("select to_regclass(%(table)s)::oid::int8", {"table": self.table.names[0]})
            if (oid,) == self.table.oids:
                return self.table
        found = read_tracking(tx, self.options)
        if self.table is not None and self.table.oids != found.oids:
            self.begin_afresh()
        self.table = found
        self.finds_changes = not found.unindexed(tx)
        return found

    def read(self, tx: Session, plan: Plan, now: float, monotonic: float) -> tuple[Stretch, ...]:
        """Enter what `plan` asks for; answers which stretches are left. Times in epoch and monotonic seconds."""
        table = self.known(tx)
        if plan.first or self._follower is None:
            self._follower = ByTime(table, self.namer)
        self._follower.go_on(table)
        self._journal.look(plan, now, monotonic)
        return self._follower.read(tx, plan, self._journal)

    def looked(self, reach: float) -> None:
        """What happened before `reach` (epoch seconds) is not read again."""
        self._journal.looked(reach)


def read_tracking(tx: Session, options: TrackingOptions) -> TrackingTable:
    """The table now. Raises SampleFailed if it is missing or does not serve."""
    table = read_table(tx, options.table)
    if table is None:
        raise SampleFailed(
            Reason.MISSING,
            f"there is no table {options.table!r}, or the role may not use its schema",
            "check `tracking` in the configuration",
        )
    mapped = [getattr(options, name) for name in TrackingOptions.model_fields if name != "table"]
    if closed := sorted(table.unreadable.intersection(mapped)):
        raise SampleFailed(
            Reason.PERMISSION,
            f"the role may not read {', '.join(closed)} of {options.table}",
            "`postwatch-exporter check --connect` prints the GRANT to run",
        )
    return TrackingTable(options, table)
