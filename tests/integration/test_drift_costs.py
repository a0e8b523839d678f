"""What comparing PostgreSQL with Redis holds, asks and reads, and what layouts leave it to say."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
import redis

from exporter.clients.redis import Command, Store
from exporter.clients.session import Session
from exporter.queues.hybrid.suspects import KINDS, Suspects, confirmed
from exporter.sampling.sampler import Run
from tests.support.databases import Database
from tests.support.jobs import Owner, add, element, queues
from tests.support.servers import RedisServer
from tests.support.watching import Watching

DRIFT = "postwatch_queue_drift_jobs"
CHECKED = "postwatch_queue_drift_checked_jobs"


Watch = Callable[..., Watching]


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Makes a source `mail`, whose connections end with the test."""
    with ExitStack() as stack:

        def make(database: Database, url: str | None, more: str = "") -> Watching:
            of_redis = f"redis: {url}" if url else ""
            one = Watching(f"""
                queues:
                  - name: mail
                    kind: hybrid
                    postgres: {database.reader_url}
                    {of_redis}
                    {more}
            """)
            stack.callback(one.watch.stop, 1.0)
            return one

        yield make


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[list[Command]], None]], None]:
    """Have a function called before each conversation with Redis."""

    def install(before: Callable[[list[Command]], None]) -> None:
        ask = Store.ask

        def observed(self: Store, run: Run, commands: Any, *, entitled: bool = False) -> list[Any]:
            asked = list(commands)
            before(asked)
            return ask(self, run, asked, entitled=entitled)

        monkeypatch.setattr(Store, "ask", observed)

    return install


@pytest.mark.parametrize("database", ["basic@15"], indirect=True)
def test_without_a_state_for_it_nothing_counts_as_handed_over(
    watch: Watch, database: Database, owner: Owner, store: "redis.Redis", redis_server: RedisServer
) -> None:
    queues(owner, "queue:email", "queue:few")
    jobs = add(owner, queue="queue:email", status="waiting", count=12_000)
    store.lpush("queue:email", *(element(job) for job in jobs))
    store.lpush("queue:few", element(add(owner, queue="queue:few", status="waiting")[0]), element(999_999))
    one = watch(database, redis_server.url, "schema: basic")
    one.run_once("counts/mail", "workers/mail", "counts/mail", "drift/mail", "drift/mail")
    assert one.total(DRIFT, queue="email", kind="missing_in_postgres") == 0
    assert one.total(DRIFT, queue="few", kind="missing_in_postgres") == 1
    assert one.total(CHECKED, queue="few", kind="missing_in_postgres") == 2
    served = {(name, dict(labels).get("kind")) for name, labels in one.samples()}
    assert not {(DRIFT, "missing_in_redis"), (CHECKED, "missing_in_redis")} & served
    assert "postwatch_queue_handed_over_jobs" not in {name for name, _ in served}
    assert "postwatch_queue_handed_over_jobs" in one.watch.sources[0].absent()


def test_no_transaction_waits_for_redis_and_queries_are_for_all_queues(
    watch: Watch,
    database: Database,
    owner: Owner,
    store: "redis.Redis",
    redis_server: RedisServer,
    asking: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ("a", "b", "c")
    queues(owner, *names)
    for name in names:
        lost, kept = add(owner, queue_name=name, status="migrated_to_redis", count=2)
        store.lpush(f"queue:{name}", element(kept), element("00000000-0000-0000-0000-000000000001"))
        assert lost != kept
    one = watch(database, redis_server.url)
    one.run_once("counts/mail", "workers/mail")
    open_transactions: list[int] = []
    asked: list[str] = []

    def look(_commands: list[Command]) -> None:
        row = owner.execute(
            "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
            " and xact_start is not null"
        ).fetchone()
        assert row is not None
        open_transactions.append(row[0])

    rows = Session.rows

    def noted(self: Session, query: Any, *more: Any, **named: Any) -> Any:
        text = query.as_string(None) if isinstance(query, psycopg.sql.Composable) else str(query)
        asked.append(text)
        return rows(self, query, *more, **named)

    asking(look)
    monkeypatch.setattr(Session, "rows", noted)
    one.run_once("drift/mail")
    assert len([text for text in asked if 'from "jobs"' in text]) == 2
    assert open_transactions, "Redis was asked"
    assert set(open_transactions) == {0}
    one.run_once("drift/mail")
    for name in names:
        for kind in ("missing_in_redis", "missing_in_postgres"):
            assert one.total(DRIFT, queue=name, priority="normal", kind=kind) == 1, (name, kind)
        assert one.total(CHECKED, queue=name, priority="normal", kind="missing_in_redis") == 2


def test_a_list_that_grows_meanwhile_is_not_read_whole(
    watch: Watch, database: Database, owner: Owner, store: "redis.Redis", redis_server: RedisServer, asking: Any
) -> None:
    queues(owner, "email")
    store.lpush("queue:email", "first")
    one = watch(database, redis_server.url)
    one.run_once("counts/mail", "workers/mail")
    ranges: list[Command] = []

    def grow(commands: list[Command]) -> None:
        found = [command for command in commands if command[0] == "LRANGE" and command[1] == "queue:email"]
        if found and not ranges:
            store.lpush("queue:email", *(str(number) for number in range(20_000)))
        ranges.extend(found)

    asking(grow)
    one.run_once("drift/mail")
    portions = [last - first for _, _, first, last in ranges if first >= 0]
    assert max(portions) < 1_000
    assert all(command[3] <= 10_000 for command in ranges)
    assert one.total(CHECKED, queue="email", priority="normal", kind="missing_in_postgres") == 1_000


def test_far_more_rows_than_counted_are_not_read(
    watch: Watch, database: Database, owner: Owner, store: "redis.Redis", redis_server: RedisServer
) -> None:
    queues(owner, "email")
    one = watch(database, redis_server.url)
    one.run_once("counts/mail", "workers/mail")
    add(owner, queue_name="email", status="migrated_to_redis", count=10_002)
    one.run_once("drift/mail")
    assert one.total(CHECKED, queue="email", priority="normal", kind="missing_in_redis") == 0
    one.run_once("counts/mail", "counts/mail", "drift/mail", "drift/mail")
    assert one.total(DRIFT, queue="email", priority="normal", kind="missing_in_redis") == 10_002, "by difference"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_takes_two_looks(kind: str) -> None:
    before, now = Suspects(), Suspects()
    before.found[kind], now.found[kind] = {"both", "gone"}, {"both", "new"}
    assert confirmed(None, now)[kind] == 0
    assert confirmed(before, now)[kind] == 1


def test_time_spent_on_redis_is_charged_to_redis(
    watch: Watch, database: Database, owner: Owner, store: "redis.Redis", redis_server: RedisServer
) -> None:
    queues(owner, "email")
    store.lpush("queue:email", "first")
    one = watch(database, redis_server.url)
    one.run_once("counts/mail")
    (source,) = one.watch.sources
    context = source.context
    (drift,) = [sampler for sampler in source.samplers() if sampler.kind == "drift"]
    run = Run(context.clock, 30.0)
    drift.sample(run)
    assert set(run.elsewhere) == {context.store_account}
    assert 0 < run.charged(context.database_account) < run.source_seconds


def test_workers_without_redis_are_told_by_their_rows(watch: Watch, database: Database, owner: Owner) -> None:
    queues(owner, "email")
    one = watch(database, None, "workers: {expected: 2}")
    one.run_once("counts/mail")
    add(owner, queue_name="email", status="running", started=-3, worker_id="w1", count=2)
    add(owner, queue_name="email", status="completed", started=-3, completed=0, worker_id="w2")
    one.run_once("counts/mail")
    assert one.total("postwatch_workers", state="active") == 2
    assert one.total("postwatch_workers_expected") == 2
    assert one.total("postwatch_worker_jobs_running", worker="w1") == 2
    assert one.total("postwatch_worker_jobs_finished_total", worker="w2", outcome="completed") == 1
    served, absent = {name for name, _ in one.samples()}, one.watch.sources[0].absent()
    of_workers = {name for name in served if name.startswith("postwatch_worker")}
    assert not of_workers & absent
    assert "postwatch_worker_last_heartbeat_timestamp_seconds" in absent


def test_an_active_worker_without_keys_is_dead(
    watch: Watch, database: Database, owner: Owner, store: "redis.Redis", redis_server: RedisServer
) -> None:
    queues(owner, "email")
    one = watch(database, redis_server.url)
    store.sadd("workers:active", "here", "gone")
    store.set("worker:here:last_heartbeat", one.watch.sources[0].context.clock.now())
    one.run_once("counts/mail", "workers/mail")
    assert one.total("postwatch_workers", state="active") == 1
    assert one.total("postwatch_workers", state="dead") == 1


def test_check_tries_the_lists_of_queues(watch: Watch, database: Database) -> None:
    rights = "on >s +@read +@connection +info ~job:* ~worker:* ~workers:active ~deadletter:queue"
    with RedisServer(users={"watch": rights, "whole": f"{rights} ~queue:*"}) as server:
        for user, refused in (("watch", True), ("whole", False)):
            one = watch(database, server.url_as(user, "s"))
            (source,) = one.watch.sources
            remarks = [remark.text for remark in source.check(Run(source.context.clock, 20.0))]
            assert any("LRANGE on queue:" in text for text in remarks) == refused, remarks
