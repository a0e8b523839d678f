"""What a user meets: the check of a source, mistakes in its settings, a reload, the daemon on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pgmq import PGMQueue

from chassis.settings import SettingsError, parse
from exporter.app import Watch as AppWatch
from exporter.sampling.sampler import Run
from exporter.settings import ExporterSettings
from tests.integration.pgmq.reading import Watch, flow, states, value
from tests.support.databases import Database
from tests.support.exporter import Daemon, Exporter, config
from tests.support.jobs import Owner
from tests.support.messages import create_partitioned, read, send

on15 = pytest.mark.parametrize("database", ["empty@15"], indirect=True)


def remarks(exporter: Exporter) -> list[str]:
    return [str(remark) for remark in exporter.watch.sources[0].check(Run(exporter.clock, 30.0))]


@on15
def test_check_tells_what_is_missing(database: Database, owner: Owner, queue: PGMQueue, watch: Watch) -> None:
    exporter = watch()
    assert any("pgmq has no queues yet" in told for told in remarks(exporter))
    for name in ("orders", "Orders", "closed", "gone", "old"):
        queue.create_queue(name)
    create_partitioned(owner, "parts")
    owner.execute("drop table pgmq.q_gone")
    owner.execute("revoke select on pgmq.q_closed from pg_monitor")
    owner.execute("drop index pgmq.archived_at_idx_old")
    told = remarks(exporter)

    def one(*words: str) -> str:
        found = [each for each in told if all(word in each for word in words)]
        assert len(found) == 1, (words, told)
        return found[0]

    one("may not read pgmq.q_closed", "grant select on all tables in schema pgmq to")
    one("q_gone is not there", "pgmq.drop_queue")
    one("archives of old cannot be read by an index")
    one("orders and Orders", "share their tables")
    one("no queue's name ends in _dlq", "postwatch_queue_dead_letters")
    one("a tracking table may", "postwatch_queue_job_duration_seconds")
    owner.execute("revoke usage on schema pgmq from pg_monitor")
    told = remarks(exporter)
    one("may not use the schema pgmq", "grant usage on schema pgmq to")
    outcome = exporter.run("changes")
    assert not outcome.up
    assert "permission denied for schema pgmq" in outcome.error


@on15
def test_the_role_has_no_more_than_pg_monitor(database: Database, owner: Owner, queue: PGMQueue, watch: Watch) -> None:
    """pgmq itself lets pg_monitor read; no other right is granted here."""
    queue.create_queue("orders")
    send(queue, "orders")
    granted = owner.execute(
        "select count(*) from information_schema.role_table_grants where grantee = %s and table_schema = 'pgmq'",
        [database.reader],
    ).fetchone()
    assert granted == (0,)
    exporter = watch()
    assert value(exporter.look("counts"), "depth", "orders") == 1
    assert not [r for r in exporter.watch.sources[0].check(Run(exporter.clock, 30.0)) if r.fatal]
    assert exporter.watch.sources[0].tables() == ['pgmq."q_orders"']  # type: ignore[attr-defined]


def mistakes(**options: Any) -> str:
    given = {"queues": [{"name": "mail", "kind": "pgmq", "postgres": "postgresql:///x", **options}]}
    with pytest.raises(SettingsError) as raised:
        parse(yaml.safe_dump(given), ExporterSettings, {})
    return str(raised.value)


def test_mistakes_are_told_all_at_once_with_their_paths() -> None:
    told = mistakes(redis="redis://x", tracking={"tabel": "x", "completed": "", "started": None, "queue": 7})
    for expected in (
        "queues[0].redis: no such key",
        "queues[0].tracking.tabel: no such key",
        "did you mean table?",
        "queues[0].tracking.table: ",
        "queues[0].tracking.completed: ",
        "queues[0].tracking.queue: ",
    ):
        assert expected in told
    assert "tracking.started" not in told
    assert "queues[0].tracking.table: " in mistakes(tracking={"table": "a.b.c"})
    # A colon is a letter like any other in a name of pgmq's.
    given = {
        "name": "mail",
        "kind": "pgmq",
        "postgres": "postgresql:///x",
        "targets": {"a": {}, "a:high": {}, "queue:a": {}},
    }
    (options,) = parse(yaml.safe_dump({"queues": [given]}), ExporterSettings, {}).queue_options()
    assert {(key.queue, key.priority) for key in options.named_targets()} == {
        ("a", "normal"),
        ("a:high", "normal"),
        ("queue:a", "normal"),
    }


@on15
def test_counters_go_on_over_a_reload(database: Database, owner: Owner, queue: PGMQueue, watch: Watch) -> None:
    queue.create_queue("orders")
    send(queue, "orders", 3)
    exporter = watch()
    exporter.look("counts")
    queue.delete("orders", 1)
    exporter.look("changes")
    source = {"name": "mail", "kind": "pgmq", "postgres": database.reader_url, "targets": {"orders": {"target": "9m"}}}
    settings = parse(yaml.safe_dump(config(source)), ExporterSettings, {})
    before = exporter.watch
    exporter.watch = AppWatch(settings, exporter.board, exporter.clock, before=before)
    before.close(but=exporter.watch)
    queue.delete("orders", 2)
    samples = exporter.look("changes")
    assert flow(samples, "orders") == (0, 2, 0, 0, 0)
    assert value(samples, "target_seconds", "orders") == 540


@on15
def test_the_daemon_on_its_own(database: Database, owner: Owner, queue: PGMQueue, tmp_path: Path) -> None:
    for name in ("orders", "orders_dlq"):
        queue.create_queue(name)
    send(queue, "orders", 5)
    source = {"name": "hooks", "kind": "pgmq", "postgres": database.reader_url, "labels": {"team": "web"}}
    with Daemon(tmp_path, config(source, stale_after="30s")) as daemon:
        daemon.until_up(1, "changes", "counts", "failed", source="hooks", within=30)
        mine = {"source": "hooks", "queue": "orders", "team": "web", "priority": "normal"}
        daemon.until("postwatch_queue_depth", 5, within=30, **mine)
        queue.delete_batch("orders", read(queue, "orders", 2))
        samples = daemon.until("postwatch_queue_jobs_finished_total", 2, within=30, outcome="completed", **mine)
        assert states(samples, "orders") == (3, 0, 3, 0)
        assert "orders" in daemon.get("/").text
        assert daemon.stop() == 0
