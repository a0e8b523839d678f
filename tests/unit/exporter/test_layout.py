"""Layouts of a hybrid queue: presets, what goes over them, and what cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from chassis.settings import Settings, SettingsError, parse
from exporter.queues.hybrid.layout import Layout
from exporter.queues.reading.tables import split_name


class File(Settings):
    layout: Layout = Layout()


def mistakes(text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        parse(f"layout: {text}", File, {})
    return [str(mistake) for mistake in caught.value.mistakes]


def read(given: Any) -> Layout:
    return Layout.model_validate(given)


def test_the_presets_by_their_names() -> None:
    assert read("penguinmails") == read({}) == read({"preset": "penguinmails"}) == Layout()
    assert read("basic") == read({"preset": "basic"})


def test_penguinmails() -> None:
    layout = Layout()
    assert layout.logs is None
    assert layout.queues
    assert (layout.queues.table, layout.queues.active) == ("job_queues", "is_active")
    jobs = layout.jobs
    assert (jobs.table, jobs.queue, jobs.priority, jobs.run_at) == ("jobs", "queue_name", "priority", "run_at")
    assert (jobs.completed, jobs.failed, jobs.changed, jobs.attempts) == (
        "completed",
        "failed",
        "updated",
        "attempt_count",
    )
    states = layout.states
    assert states.unstarted == ("queued", "migrated_to_redis")
    assert states.ended == ("completed", "failed", "cancelled", "expired")


def test_basic() -> None:
    layout = read("basic")
    jobs = layout.jobs
    assert (jobs.queue, jobs.created, jobs.changed, jobs.attempts) == ("queue", "created_at", "updated_at", "attempts")
    assert {jobs.priority, jobs.run_at, jobs.started, jobs.completed, jobs.failed, jobs.error, jobs.worker} == {None}
    assert layout.logs
    assert layout.logs.table == "job_logs"
    assert layout.states.waiting == ("waiting", "queued", "pending")


def test_what_is_given_goes_over_the_preset_and_no_further() -> None:
    layout = read({"preset": "basic", "jobs": {"table": "app.jobs", "error": "err"}, "states": {"waiting": ["new"]}})
    assert (layout.jobs.table, layout.jobs.error, layout.jobs.queue) == ("app.jobs", "err", "queue")
    assert (layout.states.waiting, layout.states.active) == (("new",), ("active", "running", "processing"))
    assert layout.logs


def test_sections_and_columns_that_are_not_there() -> None:
    layout = read({"preset": "basic", "logs": None, "queues": None, "jobs": {"changed": None}})
    assert (layout.logs, layout.queues, layout.jobs.changed) == (None, None, None)


def test_a_section_that_a_preset_leaves_out_may_be_given() -> None:
    layout = read({"logs": {"table": "attempts"}})
    assert layout.logs
    assert (layout.logs.table, layout.logs.id) == ("attempts", "id")
    assert layout.jobs == Layout().jobs


def test_meanings_of_states() -> None:
    states = Layout().states
    told = {name: states.meaning(name) for name in ("queued", "migrated_to_redis", "processing", "failed", "Queued")}
    assert told == {
        "queued": "waiting",
        "migrated_to_redis": "handed_over",
        "processing": "active",
        "failed": "failed",
        "Queued": None,
    }
    assert states.usual == "completed"
    assert read({"states": {"completed": []}}).states.usual == "failed"
    assert set(states.all) == {"queued", "migrated_to_redis", "running", "processing", *states.ended}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "{states: {active: [queued]}}",
            "layout.states: 'queued' stands under waiting and under active; keep one",
        ),
        (
            "{states: {waiting: [], handed_over: []}}",
            "layout.states: no state means waiting; give at least one under waiting or handed_over",
        ),
        ("{jobs: null}", "layout.jobs: nothing is no mapping"),
        ("{jobs: {status: null}}", "layout.jobs.status: nothing is no text"),
        ("{jobs: {table: a.b.c}}", "layout.jobs.table: 'a.b.c' is no name of a table; write e.g. jobs, app.jobs"),
        ("{states: {waiting: queued}}", "layout.states.waiting: a text is no list"),
        ("{preset: sidekiq}", "layout.preset: 'sidekiq' is not allowed; allowed: penguinmails, basic"),
        ("sidekiq", "layout.preset: 'sidekiq' is not allowed; allowed: penguinmails, basic"),
    ],
)
def test_what_cannot_be_is_told(text: str, told: str) -> None:
    assert mistakes(text) == [told]


def test_an_unknown_column_is_told_with_those_there_are() -> None:
    (told,) = mistakes("{jobs: {stauts: x}}")
    assert told.startswith("layout.jobs.stauts: no such key; allowed: table, id, queue, status, ")
    assert told.endswith("did you mean status?")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("jobs", ("jobs",)),
        ("Jobs", ("jobs",)),
        (" app.Jobs ", ("app", "jobs")),
        ('"App"."Jobs"', ("App", "Jobs")),
        ('app."my.jobs"', ("app", "my.jobs")),
        ('"say ""hi"""', ('say "hi"',)),
    ],
)
def test_names_of_tables(name: str, parts: tuple[str, ...]) -> None:
    assert split_name(name) == parts


@pytest.mark.parametrize("name", ["", ".", "a.", ".a", "a..b", "a.b.c", '"', '""', '"a', '"a"b', 'a."b'])
def test_what_is_no_name_of_a_table(name: str) -> None:
    with pytest.raises(ValueError, match=r"is no name of a table; write e\.g\. jobs"):
        split_name(name)
