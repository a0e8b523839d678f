"""Writers of one SQLite file share commits, and nobody pays for another's mistake."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from alerter.store.engine import Store, StoreFailed
from alerter.store.schema import facts
from chassis.clock import ManualClock
from chassis.secrets import SecretUrl
from tests.support.wait import eventually

WRITERS = 10


class Bench:
    """A store, its commits counted, and writers who come while another one is at it."""

    def __init__(self, path: Path) -> None:
        self.store = Store(SecretUrl(f"sqlite:///{path}"), ManualClock())
        self.store.open()
        self.commits = 0
        sa.event.listen(self.store.engine, "commit", self._count)

    def _count(self, _connection: sa.Connection) -> None:
        self.commits += 1

    def write(self, name: str, *, after: str = "") -> None:
        """Keeps a fact; then does what `after` says in SQL."""
        with self.store.write() as connection:
            connection.execute(sa.insert(facts).values(name=name, value=""))
            if after:
                connection.exec_driver_sql(after)

    def together(self, *works: tuple[str, str]) -> list[Future[None]]:
        """All come while somebody writes; each is a name, and SQL that follows."""
        goes_on = threading.Event()

        def first() -> None:
            with self.store.write() as connection:
                connection.execute(sa.insert(facts).values(name="first", value=""))
                goes_on.wait(30)

        with ThreadPoolExecutor(len(works) + 1) as pool:
            begun = pool.submit(first)
            eventually(self.store._writers._turn.locked)
            done = [pool.submit(self.write, name, after=after) for name, after in works]
            eventually(lambda: self.store._writers._waiting == len(works))
            goes_on.set()
        return [begun, *done]

    def names(self) -> set[str]:
        with self.store.read() as connection:
            return set(connection.execute(sa.select(facts.c.name)).scalars())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "alerter.db")
    yield made
    made.store.close()


def test_those_who_wait_share_a_commit(bench: Bench) -> None:
    done = bench.together(*((f"n{number}", "") for number in range(WRITERS)))
    assert [each.exception() for each in done] == [None] * (WRITERS + 1)
    assert bench.commits == 1
    bench.write("alone")
    assert bench.commits == 2
    assert len(bench.names()) == WRITERS + 2


def test_who_fails_leaves_nothing_behind_and_harms_nobody(bench: Bench) -> None:
    wrong = "INSERT INTO facts (name, value) VALUES ('first', '')"  # there is one
    done = bench.together(("a", ""), ("b", wrong), ("c", ""), ("d", wrong))
    assert [type(each.exception()) for each in done] == [type(None), type(None), StoreFailed, type(None), StoreFailed]
    assert bench.names() == {"first", "a", "c"}


def test_the_first_fails_alone(bench: Bench) -> None:
    with pytest.raises(StoreFailed):
        bench.write("a", after="nonsense")
    assert bench.names() == set()
    bench.write("b")
    assert bench.names() == {"b"}


def test_when_all_is_undone_all_are_told(bench: Bench) -> None:
    """As SQLite does of itself on a full disk."""
    done = bench.together(("a", ""), ("b", "ROLLBACK"))
    told = {name for name, each in zip(("first", "a", "b"), done, strict=True) if each.exception() is None}
    assert told == bench.names()
    assert "b" not in told
    bench.write("c")
    assert "c" in bench.names()


def test_a_full_disk_is_told_to_all_who_wrote(bench: Bench) -> None:
    def limit(connection: sa.Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    sa.event.listen(bench.store.engine, "begin", limit)
    large = "INSERT INTO facts SELECT 'large', hex(zeroblob(1000000))"
    done = bench.together(("a", ""), ("b", large), ("c", ""))
    assert "the disk is full" in str(done[2].exception())
    told = {name for name, each in zip(("first", "a", "b", "c"), done, strict=True) if each.exception() is None}
    assert told == bench.names()
    sa.event.remove(bench.store.engine, "begin", limit)
    bench.store.engine.dispose()
    bench.write("d", after=large)
    assert {"d", "large"} <= bench.names()


def test_many_threads(bench: Bench) -> None:
    def work(number: int) -> None:
        for turn in range(20):
            with suppress(StoreFailed):
                bench.write(f"{number}/{turn}", after="nonsense" if turn % 5 == 4 else "")

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(work, range(WRITERS)))
    assert bench.commits < WRITERS * 16
    assert bench.names() == {f"{n}/{turn}" for n in range(WRITERS) for turn in range(20) if turn % 5 != 4}
