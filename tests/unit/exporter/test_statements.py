"""Statements by command: told by their texts, and summed up over what pg_stat_statements forgets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.stores.commands import COMMANDS, command_of
from exporter.stores.statements import Statements

ONE = ("system", False, 1)  # a history
USER = 10


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("select $1", "select"),
        ("  SELECT * from t", "select"),
        ("(select 1) union (select 2)", "select"),
        ("values ($1)", "select"),
        ("table jobs", "select"),
        ("insert into t values ($1)", "insert"),
        ('UPDATE "select" set a = $1', "update"),
        ("delete from t where name = 'update'", "delete"),
        ("-- insert\nselect 1", "select"),
        ("/* a /* nested */ delete */ update t set a = 1", "update"),
        ("/* never ended", "other"),
        ("with x as (select 1) update t set a = 1", "update"),
        ("with x as (update t set a = 1 returning *) select * from x", "select"),
        ("with a as (select 1), b as (delete from t returning 1) insert into u select * from b", "insert"),
        ("with recursive t(n) as (values (1) union all select n + 1 from t) select * from t", "select"),
        ("with x as (select ')' as a, \"(\" from t) delete from u", "delete"),
        ("with x as (select $tag$ ) update $tag$) select 1", "select"),
        ("with x as materialized (select 1) merge into t using x on true when matched then delete", "other"),
        ("prepare p as select 1", "select"),
        ("PREPARE p (int, text) AS insert into t values ($1, $2)", "insert"),
        ("begin", "other"),
        ("copy t from stdin", "other"),
        ("selection", "other"),
        ("", "other"),
        ("<insufficient privilege>", "other"),
    ],
)
def test_a_command_is_told_by_the_text(text: str, command: str) -> None:
    assert command_of(text) == command


@given(st.text(alphabet="(/*-'\"$x with select\n", max_size=60))
def test_any_text_has_a_command(text: str) -> None:
    assert command_of(text) in COMMANDS


def row(
    queryid: int, calls: int, seconds: float = 0.0, since: float | None = None, user: int = USER
) -> tuple[object, ...]:
    return (queryid, user, calls, seconds, since)


def taken(*looks: list[tuple[object, ...]], texts: dict[int, str]) -> Statements:
    """Looks of one history, each with the texts read after it."""
    statements = Statements()
    for rows in looks:
        statements.take(ONE, rows)
        statements.name({queryid: text for queryid, text in texts.items() if queryid in statements.unnamed})
    return statements


TEXTS = {1: "select 1", 2: "insert into t values (1)", 3: "begin"}


def test_what_ran_before_we_came_is_not_counted() -> None:
    statements = taken([row(1, 100, 5.0), row(2, 7, 1.0)], [row(1, 103, 5.5), row(2, 7, 1.0)], texts=TEXTS)
    assert statements.calls == {"select": 3, "insert": 0, "update": 0, "delete": 0, "other": 0}
    assert statements.seconds["select"] == pytest.approx(0.5)


def test_a_statement_that_is_new_counts_whole() -> None:
    assert taken([], [row(2, 4, 0.25)], texts=TEXTS).calls["insert"] == 4


def test_the_same_statement_of_two_users_counts_for_both() -> None:
    statements = taken([row(1, 1), row(1, 10, user=11)], [row(1, 3), row(1, 15, user=11)], texts=TEXTS)
    assert statements.calls["select"] == 7


def test_an_eviction_takes_nothing_away_and_a_return_counts_from_zero() -> None:
    statements = taken([row(1, 100)], [row(1, 110)], [], [row(1, 2)], texts=TEXTS)
    assert statements.calls["select"] == 12


def test_a_reset_takes_nothing_away() -> None:
    statements = taken([row(1, 100, 9.0)], [row(1, 110, 9.5)], [row(1, 3, 0.25)], texts=TEXTS)
    assert (statements.calls["select"], statements.seconds["select"]) == (13, 0.75)


def test_a_reset_that_was_overtaken_is_seen_where_the_entry_says_since_when_it_is_there() -> None:
    looks = [row(1, 100, 9.0, since=1.0)], [row(1, 150, 12.0, since=2.0)]
    assert taken(*looks, texts=TEXTS).calls["select"] == 150


def test_a_reset_that_was_overtaken_is_seen_where_the_view_says_when_it_was() -> None:
    statements = Statements()
    statements.take(ONE, [row(1, 100)], reset=1.0)
    statements.take(ONE, [row(1, 100)], reset=2.0)
    statements.name(TEXTS)
    statements.take(ONE, [row(1, 101)], reset=2.0)
    assert statements.calls["select"] == 101


def test_another_history_is_where_the_sums_go_on() -> None:
    statements = taken([row(1, 100)], [row(1, 105)], texts=TEXTS)
    statements.take(("system", False, 2), [row(1, 5_000_000), row(2, 3)])
    assert not statements.unnamed
    assert statements.calls["select"] == 5
    statements.take(("system", False, 2), [row(1, 5_000_001), row(2, 3)])
    statements.name(TEXTS)
    assert (statements.calls["select"], statements.calls["insert"]) == (6, 0)


def test_what_has_no_name_yet_is_held_back_and_lost_by_nobody() -> None:
    statements = Statements()
    statements.take(ONE, [])
    statements.take(ONE, [row(2, 1, 0.5)])
    statements.take(ONE, [row(2, 5, 1.5), row(3, 2)])
    assert sum(statements.calls.values()) == 0
    assert statements.unnamed == {2, 3}
    statements.name({2: TEXTS[2]})  # the other one was evicted before its text was read
    assert (statements.calls["insert"], statements.seconds["insert"], statements.calls["other"]) == (5, 1.5, 2)
    assert not statements.unnamed


def test_all_commands_are_told_from_the_start() -> None:
    readings = list(Statements().readings({"database": "oltp"}))
    assert {(r.metric, r.labels["command"], r.value) for r in readings} == {
        (f"postwatch_postgres_{name}_total", command, 0)
        for name in ("statements", "statement_seconds")
        for command in COMMANDS
    }


counts = st.dictionaries(st.integers(1, 3), st.integers(0, 50), max_size=3)


@given(st.lists(counts, max_size=8))
def test_sums_never_fall_whatever_the_view_does(looks: list[dict[int, int]]) -> None:
    statements = Statements()
    before = 0
    for look in looks:
        statements.take(ONE, [row(queryid, calls) for queryid, calls in look.items()])
        statements.name(TEXTS)
        total = sum(statements.calls.values())
        assert total >= before
        before = total
