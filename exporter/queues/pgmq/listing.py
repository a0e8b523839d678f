"""Which queues a database has, and their tables as they are: read at each look, since queues come and go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from psycopg import sql

from exporter.clients.session import Session
from exporter.model import Reason, SampleFailed
from exporter.queues.reading.tables import quoted, read_blocks

NEEDED = ("msg_id", "read_ct", "vt")
AT_ONCE = 50  # queues in one statement


BLOCKS = read_blocks(__package__, "pgmq.sql")


@dataclass(frozen=True)
class Columns:
    """What a table has. Empty: it was not looked at, or is not there."""

    names: frozenset[str] = frozenset()  # that the role may read
    indexed: frozenset[str] = frozenset()  # that an index begins with


@dataclass(frozen=True)
class Listed:
    """A queue as the database lists it. Times are epoch seconds."""

    name: str
    created: float
    table: str | None
    oid: int | None
    kind: str | None  # pg_class.relkind
    unlogged: bool
    readable: bool
    archive: str | None
    archive_oid: int | None
    archive_readable: bool
    sequence: int | None  # that numbers its messages, if the role may read it
    filenode: int | None  # changes when the table is emptied as a whole; None: it is partitioned
    deleted: int  # messages that have left it, by the server's statistics, which are late by up to ten seconds
    pages: int  # of its table, as the server last knew: what a count reads, however few messages are left in them
    allocated: int | None = None  # the last number that was given out; None: that cannot be read
    columns: Columns = Columns()
    archive_columns: Columns = Columns()

    @property
    def base_name(self) -> str | None:
        """Of a dead-letter queue: the name of the queue whose failed messages it holds."""
        return self.name[:-4] if self.name.lower().endswith("_dlq") and len(self.name) > 4 else None

    @property
    def tells_reads(self) -> bool:
        """Whether it says when a message was last read: pgmq 1.10 and later."""
        return "last_read_at" in self.columns.names

    @property
    def seek_archive(self) -> bool:
        """Whether an index finds what was archived lately."""
        has = self.archive_columns
        return self.archive_readable and "archived_at" in has.indexed and {"archived_at", *NEEDED[:2]} <= has.names

    def problem(self, *, standby: bool) -> SampleFailed | None:
        """Why it cannot be counted."""
        if self.table is None:
            return SampleFailed(
                Reason.MISSING,
                f"queue {self.name!r} is in pgmq.meta, but its table pgmq.q_{self.name.lower()} is not there",
                "drop the queue with pgmq.drop_queue, or create it anew",
            )
        if standby and self.unlogged:
            return SampleFailed(
                Reason.MISSING,
                f"queue {self.name!r} is unlogged: a standby does not have its messages",
                "watch it on the primary",
            )
        if not self.readable and not self.columns.names:
            return SampleFailed(
                Reason.PERMISSION,
                f"the role may not read pgmq.{self.table}",
                "`postwatch-exporter check --connect` prints the GRANT to run",
            )
        if missing := [name for name in NEEDED if name not in self.columns.names]:
            return SampleFailed(
                Reason.MISSING,
                f"pgmq.{self.table} has no column {', '.join(missing)} that the role may read",
                "this is no table of pgmq, or one of a version that is not known",
            )
        return None


class Listing:
    """Reads the list, and remembers columns of tables that it has seen. Not thread-safe."""

    def __init__(self) -> None:
        self._columns: dict[int, Columns] = {}
        self._damaged: set[int] = set()  # sequences that cannot be read, for another reason than a right

    def forget(self) -> None:
        """Something was not as remembered: look at all columns again."""
        self._columns.clear()
        self._damaged.clear()

    def read(self, tx: Session, *, standby: bool = False) -> list[Listed]:
        """All queues, the oldest first. On a standby sequences show numbers that were only set aside: none is read."""
        found = [Listed(*row) for row in tx.rows(sql.SQL(BLOCKS["queues"]))]
        oids = {oid for one in found for oid in (one.oid, one.archive_oid) if oid is not None}
        if new := sorted(oids - self._columns.keys()):
            for oid, names, indexed in tx.rows(sql.SQL(BLOCKS["columns"]), {"tables": new}):
                self._columns[oid] = Columns(frozenset(names or ()), frozenset(indexed))
        self._columns = {oid: columns for oid, columns in self._columns.items() if oid in oids}
        sequences = [] if standby else [one.sequence for one in found if one.sequence is not None]
        numbers = self._numbers(tx, [sequence for sequence in sequences if sequence not in self._damaged])
        listed = [
            replace(
                one,
                allocated=numbers.get(one.sequence or 0),
                columns=self._columns.get(one.oid or 0, Columns()),
                archive_columns=self._columns.get(one.archive_oid or 0, Columns()),
            )
            for one in found
        ]
        return sorted(listed, key=lambda one: (one.created, one.name))

    def _numbers(self, tx: Session, sequences: list[int]) -> dict[int, int]:
        """The last number of each sequence; one that is damaged or gone takes none of the others with it."""
        answer = tx.attempt(sql.SQL(BLOCKS["numbers"]), {"sequences": sequences})
        if not isinstance(answer, SampleFailed):
            return {sequence: int(number) for sequence, number in answer}
        if len(sequences) == 1:
            self._damaged.update(sequences)
            return {}
        return {s: number for one in sequences for s, number in self._numbers(tx, [one]).items()}


def joined(block: str, queues: Iterable[tuple[int, Listed, Mapping[str, str]]]) -> sql.SQL:
    """A block for each of these queues, in one statement; its rows begin with the queue's number here.

    Made as text: to compose it would take longer than to run it.
    """
    parts = [
        BLOCKS[block].format(
            queue=f"{number}::int4",
            table=quoted("pgmq", listed.table or ""),
            archive=quoted("pgmq", listed.archive or ""),
            last_read="last_read_at" if listed.tells_reads else "null::timestamptz",
            **names,
        )
        for number, listed, names in queues
    ]
    text = BLOCKS.get(f"{block}_all", "{queues}").format(queues="\nunion all\n".join(parts))
    return sql.SQL(text)  # names in it are quoted, and all else are numbers
