"""The configuration: what it says is taken as meant, and every mistake is told with its place."""

from __future__ import annotations

import re
from typing import Any

import pytest

from chassis.settings import SettingsError, parse
from exporter.catalogue import CATALOGUE
from exporter.labels import BANNED, USED
from exporter.model import QueueKey, Target, Thresholds
from exporter.queues import hybrid, pgboss
from exporter.settings import DEFAULT_BUCKETS, ExporterSettings

FULL = """
web: {listen: ":9797"}
log: {level: debug, format: console}
defaults:
  interval: 10s
  timeout: 2s
  stale_after: 1m
  budget: 1%
  max_queues: 50
  buckets: [1, 10, 60]
  labels: {stage: test}
queues:
  - name: mail
    kind: hybrid
    postgres: ${MAIL_DATABASE_URL:-postgresql://postgres@db:5432/mail}
    redis: ${MAIL_REDIS_URL}
    schema:
      preset: basic
      jobs: {table: app.jobs, queue: q}
      states: {waiting: [new], active: [busy]}
    interval: 5s
    timeout: 500ms
    budget: 0.25%
    max_queues: 7
    buckets: [0.5, 5]
    labels: {team: delivery}
    drift: {interval: 2m, sample: 500}
    failed: {interval: 30s}
    workers: {expected: 3, dead_after: 90s, forget_after: 20m, error_limit: 10%}
    targets:
      queue:email-sending:high: {target: 1m, time_limit: 2m, depth: {warning: 50, critical: 500, page: 5000}}
      email-sending: {target: 5m, failures: {critical: 3, page: 20%}}
      "*": {target: 15m, time_limit: 1h}
  - {name: other, kind: hybrid, postgres: "postgresql://db/other"}
"""
ENVIRONMENT = {"MAIL_REDIS_URL": "redis://:s3cret@cache:6379/0"}
SOURCE = "{name: mail, kind: hybrid, postgres: 'postgresql://db/mail'"


def load(text: str) -> ExporterSettings:
    return parse(text, ExporterSettings, ENVIRONMENT)


def sources(text: str) -> list[hybrid.Options]:
    return [one for one in load(text).queue_options() if isinstance(one, hybrid.Options)]


def mistakes(text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(text)
    return [str(mistake) for mistake in caught.value.mistakes]


def mistake(text: str) -> str:
    (only,) = mistakes(text)
    return only


def with_option(option: str) -> str:
    return f"queues: [{SOURCE}, {option}}}]"


def test_everything_is_taken_as_written() -> None:
    settings = load(FULL)
    assert settings.web.listen.port == 9797
    assert (settings.log.level, settings.log.format) == ("debug", "console")
    defaults = settings.defaults
    assert (defaults.interval, defaults.timeout, defaults.stale_after) == (10, 2, 60)
    assert (defaults.budget, defaults.max_queues, defaults.buckets) == (0.01, 50, (1, 10, 60))
    assert defaults.labels == {"stage": "test"}

    mail, other = sources(FULL)
    assert mail.postgres.reveal() == "postgresql://postgres@db:5432/mail"
    assert mail.redis
    assert mail.redis.reveal() == "redis://:s3cret@cache:6379/0"
    assert "s3cret" not in repr(settings)
    assert (mail.interval, mail.timeout, mail.stale_after, mail.budget) == (5, 0.5, None, 0.0025)
    assert (mail.max_queues, mail.buckets, mail.labels) == (7, (0.5, 5), {"team": "delivery"})
    assert (mail.drift.interval, mail.drift.sample, mail.failed.interval) == (120, 500, 30)
    workers = mail.workers
    assert (workers.expected, workers.dead_after, workers.forget_after, workers.error_limit) == (3, 90, 1200, 0.1)
    assert (mail.layout.preset, mail.layout.jobs.table, mail.layout.jobs.queue) == ("basic", "app.jobs", "q")
    assert mail.layout.states.waiting == ("new",)
    assert mail.named_targets() == {
        QueueKey("email-sending", "high"): Target(60, 120, Thresholds(50, 500, 5000, 10, 0.05)),
        QueueKey("email-sending", "normal"): Target(300, None, Thresholds(100, 1000, 10000, 3, 0.2)),
    }
    assert mail.other_target() == Target(900, 3600, Thresholds())
    assert [o.name for o in settings.queue_options()] == ["mail", "other"]
    assert (other.named_targets(), other.other_target()) == ({}, Target())


def test_an_empty_file_is_a_valid_one() -> None:
    settings = load("")
    assert str(settings.web.listen) == "127.0.0.1:9797"
    defaults = settings.defaults
    assert (defaults.interval, defaults.timeout, defaults.stale_after, defaults.budget) == (5, 3, 30, 0.005)
    assert (defaults.max_queues, defaults.buckets, defaults.labels) == (200, DEFAULT_BUCKETS, {})
    assert settings.queue_options() == ()


def test_defaults_of_a_hybrid_queue() -> None:
    (one,) = sources(with_option("labels: {}"))
    assert one.redis is None
    assert one.layout.preset == "penguinmails"
    assert (one.drift.interval, one.drift.sample, one.failed.interval) == (60, 1000, 60)
    workers = one.workers
    assert (workers.expected, workers.dead_after, workers.forget_after, workers.error_limit) == (None, 60, 900, 0.05)


def test_all_mistakes_are_told_at_once_each_with_its_place() -> None:
    told = mistakes(
        """
defaults: {interval: 10ms, budget: 101%, buckets: [5, 1], labels: {job: x}}
log: {level: loud}
web: {listen: here}
queues:
  - name: mail
    kind: hybrid
    postgres: postgresql://db/mail
    max_queues: 0
    colour: red
    schema: {jobs: {tabel: jobs}}
    drift: {sample: 1}
    labels: {queue: x}
    targets: {x: {target: fast}, "*": {failures: {page: many}}}
  - {name: "no name", kind: hybrid}
"""
    )
    assert sorted(told) == sorted(
        [
            *(
                line
                for line in told
                if line.startswith(("web.listen: ", "queues[1].name: 'no name' is not of the form"))
            ),
            "defaults.interval: '10ms' is out of range; allowed: 1s or more",
            "defaults.budget: '101%' is no share of a whole; write e.g. 0.5% or 0.005, at most 100%",
            "defaults.buckets: bounds have to rise and to be above 0, e.g. [0.1, 1, 10, 60]",
            "defaults.labels: 'job' collides with a label of targets or rules; choose another name",
            "log.level: 'loud' is not allowed; allowed: debug, info, warning, error",
            "queues[0].max_queues: 0 is too small; allowed: 1 or more",
            *(line for line in told if line.startswith("queues[0].colour: no such key; allowed: name, postgres, ")),
            *(
                line
                for line in told
                if line.startswith("queues[0].schema.jobs.tabel: no such key; allowed: table, id, ")
            ),
            "queues[0].drift.sample: 1 is too small; allowed: 10 or more",
            "queues[0].labels: 'queue' is a label of our own metrics; choose another name",
            "queues[0].targets.x.target: 'fast' is no duration; write e.g. 90s, 5m, 1h",
            "queues[0].targets.*.failures.page: 'many' is no share of a whole; write e.g. 0.5% or 0.005, at most 100%",
            "queues[1].postgres: missing; or give postgres_file",
        ]
    )
    assert len(told) == 15
    assert next(line for line in told if "tabel" in line).endswith("did you mean table?")


def test_an_unknown_kind_and_a_missing_one() -> None:
    assert mistake("queues: [{name: a, kind: kafka, postgres: 'postgresql://db/a'}]") == (
        "queues[0].kind: 'kafka' is not allowed; allowed: hybrid, pgboss, pgmq"
    )
    assert mistake("queues: [{name: a, postgres: 'postgresql://db/a'}]").startswith("queues[0].kind: missing")


def test_mistakes_of_several_kinds_bear_their_places() -> None:
    told = mistakes(
        """
queues:
  - {name: a, kind: hybrid, postgres: "postgresql://db/a", schema_name: x}
  - {name: b, kind: pgboss, postgres: "postgresql://db/b", schema_name: a.b.c, redis: "redis://c"}
  - {name: c, kind: pgboss, postgres: "postgresql://db/c", schema_name: [x], targets: {mail: {target: fast}}}
  - {name: d, kind: pgbos, postgres: "postgresql://db/d"}
  - {name: e, kind: 7, postgres: "postgresql://db/e"}
  - {name: f, kind: pgboss, failed: {interval: 1ms}}
"""
    )
    assert {line.partition(": ")[0] for line in told} == {
        "queues[0].schema_name",
        "queues[1].schema_name",
        "queues[1].redis",
        "queues[2].schema_name",
        "queues[2].targets.mail.target",
        "queues[3].kind",
        "queues[4].kind",
        "queues[5].postgres",
        "queues[5].failed.interval",
    }
    assert len(told) == 9
    assert any("queues[3].kind" in line and line.endswith("did you mean pgboss?") for line in told)
    assert any("queues[1].schema_name: 'a.b.c' is no name of a schema" in line for line in told)


def test_a_schema_is_named_as_sql_writes_it() -> None:
    source = "{{name: a, kind: pgboss, postgres: 'postgresql://db/a', schema_name: {}}}"
    for given, meant in (("Flows", "flows"), ("'\"Flows\"'", "Flows"), ("null", None)):
        text = f"queues: [{source.format(given)}]"
        if meant is None:
            assert mistake(text).startswith("queues[0].schema_name: ")
        else:
            (one,) = load(text).queue_options()
            assert isinstance(one, pgboss.Options)
            assert one.schema_name == meant


def test_an_unknown_section_is_told_with_those_there_are() -> None:
    told = mistake("queue: []")
    assert told.startswith("queue: no such key; allowed: web, log, defaults, queues, ")
    assert told.endswith("; did you mean queues?")
    assert {"services", "reputation", "postgres", "redis", "host"} <= set(re.findall(r"\w+", told))


def test_names_are_unique() -> None:
    told = mistake(f"queues: [{SOURCE}}}, {SOURCE}}}]")
    assert "two sources are named 'mail'" in told


def test_a_password_is_never_told() -> None:
    told = mistakes("queues: ['postgresql://u:hunter22@db/mail', {name: a, kind: hybrid, postgres: {u: hunter22}}]")
    assert len(told) >= 2
    assert "hunter22" not in "\n".join(told)


class TestLabels:
    @pytest.mark.parametrize("name", sorted(BANNED))
    def test_those_of_targets_and_rules_are_refused(self, name: str) -> None:
        assert f"{name!r} collides" in mistake(f"defaults: {{labels: {{{name}: x}}}}")

    @pytest.mark.parametrize("name", sorted(USED))
    def test_our_own_are_refused(self, name: str) -> None:
        assert f"{name!r} is a label of our own metrics" in mistake(with_option(f"labels: {{{name}: x}}"))

    @pytest.mark.parametrize("name", ["__name__", "1st", "a-b", "naïve", '""', "a b"])
    def test_what_is_no_name_is_refused(self, name: str) -> None:
        assert "is no name of a label; allowed: letters" in mistake(with_option(f"labels: {{{name}: x}}"))

    def test_others_may_be_set(self) -> None:
        (one,) = sources(with_option("labels: {team: delivery, tenant_1: 'ac\"me', _x: ''}"))
        assert one.labels == {"team": "delivery", "tenant_1": 'ac"me', "_x": ""}

    def test_banned_are_the_names_that_collide(self) -> None:
        names = "service severity alertname job instance namespace pod container endpoint env region cluster zone type"
        assert set(names.split()) == BANNED
        assert not BANNED & USED

    def test_used_are_the_names_that_our_metrics_have_or_will_have(self) -> None:
        mine = {label for metric in CATALOGUE for label in metric.labels}
        of_histograms = {"le", "quantile"}
        of_services = {"target", "kind", "state", "phase", "reason", "code"}
        of_reputation = {"ip", "blocklist", "code", "category", "tier", "family", "result", "provider"}
        of_stores = {"database", "redis", "state", "pool", "command", "table", "kind"}
        of_host = {"mount", "device"}
        assert mine | of_histograms | of_services | of_reputation | of_stores | of_host == USED


class TestTargets:
    def test_one_queue_is_named_once(self) -> None:
        told = mistake(with_option("targets: {'queue:a': {target: 1m}, a: {target: 2m}}"))
        assert told == "queues[0].targets: 'queue:a' and 'a' name the same queue; keep one"


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("interval: 0s", "queues[0].interval: '0s' is out of range; allowed: 1s or more"),
        ("timeout: 1h", "queues[0].timeout: '1h' is out of range; allowed: 50ms to 10m"),
        ("budget: 0.001%", "queues[0].budget: '0.001%' is out of range; allowed: 0.01% to 100%"),
        ("budget: 0", "queues[0].budget: 0 is out of range; allowed: 0.01% to 100%"),
        ("buckets: []", "queues[0].buckets: 0 given; at least 1 needed"),
        ("buckets: [0, 1]", "queues[0].buckets: bounds have to rise and to be above 0, e.g. [0.1, 1, 10, 60]"),
        ("workers: {expected: -1}", "queues[0].workers.expected: -1 is too small; allowed: 0 or more"),
        ("targets: [a]", "queues[0].targets: a list is no mapping"),
    ],
)
def test_bounds(option: str, told: str) -> None:
    assert mistake(with_option(option)) == told


def test_the_smallest_and_largest_are_legal() -> None:
    text = "interval: 1s, timeout: 50ms, budget: 100%, stale_after: 1s, workers: {error_limit: 0%}"
    (one,) = sources(with_option(text))
    values: Any = (one.interval, one.timeout, one.budget, one.stale_after, one.workers.error_limit)
    assert values == (1, 0.05, 1, 1, 0)
