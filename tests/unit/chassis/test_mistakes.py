"""Mistakes in a configuration: told in plain words, with their place, all at once, and without a secret."""

from typing import Annotated, Literal, Self

import pytest
from pydantic import Field, model_validator

from chassis.settings import Settings, SettingsError, parse
from tests.unit.chassis.basket import ALLOWED, NO_DURATION, Apple, mistakes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("siez: 3", f"siez: no such key; {ALLOWED}; did you mean size?"),
        ("zzzzzz: 3", f"zzzzzz: no such key; {ALLOWED}"),
        ("ripe: maybe", "ripe: 'maybe' is neither true nor false"),
        ("name: 5", "name: 5 is no text; put it into quotes"),
        ("name: [5]", "name: a list is no text"),
        ("fruits: 5", "fruits: 5 is no list"),
        ("fruits:", "fruits: nothing is no list"),
        ("goal: 5m", "goal: a text is no mapping"),
        ("just text", "a text is no mapping"),
        ("- a list", "a list is no mapping"),
        ("goal: {}", "goal.target: missing"),
        ("goal: {target: fast}", "goal.target: 'fast' is no duration; write e.g. 90s, 5m, 1h"),
        ("codes: some", "codes: 'some' is no whole number; or give a list"),
        ("codes: {a: 1}", "codes: a mapping is no list"),
        ("codes: [200, x]", "codes[1]: 'x' is no whole number"),
        (
            "fruits: [{kind: bear}]",
            "fruits[0].kind: 'bear' is not allowed; allowed: apple, pear, quince; did you mean pear?",
        ),
        ("fruits: [{count: 3}]", "fruits[0].kind: missing; allowed: apple, pear, quince"),
        ("fruits: [{kind: pear, count: 0}]", "fruits[0].count: 0 is too small; allowed: 1 or more"),
        ("fruits: [{kind: pear, count: 11}]", "fruits[0].count: 11 is too large; allowed: at most 10"),
        ("fruits: [{kind: pear, count: 1.5}]", "fruits[0].count: 1.5 is no whole number"),
        ("fruits: [{kind: pear, ratio: .inf}]", "fruits[0].ratio: inf is no finite number"),
        ("fruits: [{kind: apple}]", "fruits[0].url: missing; or give url_file"),
        (
            "fruits: [{kind: apple, url: x, urll: y}]",
            "fruits[0].urll: no such key; allowed: kind, url, url_file, goals, schema; did you mean url?",
        ),
        (
            "fruits: [{kind: apple, url: x, goals: {a.b: {target: 5}}}]",
            f"fruits[0].goals['a.b'].target: 5 {NO_DURATION}",
        ),
        (
            "fruits: [{kind: apple, url: x, goals: {q:a:high: {target: 5}}}]",
            f"fruits[0].goals.q:a:high.target: 5 {NO_DURATION}",
        ),
        (
            "fruits: [{kind: apple, url: x, schema: {target: 5}}]",
            f"fruits[0].schema.target: 5 {NO_DURATION}",
        ),
        (
            "fruits: [{kind: apple, url: x, schema: fancyy}]",
            "fruits[0].schema: 'fancyy' is not allowed; allowed: plain, fancy; did you mean fancy?; "
            "or give a mapping",
        ),
        (
            "fruits: [{kind: pear}, {kind: pear}, {kind: pear}, {kind: pear}]",
            "at most three fruits fit",
        ),
        ("users: {jo: 5}", "users.jo: not a text; put it into quotes"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_plain_words(text: str, expected: str) -> None:
    assert mistakes(text) == [expected]


def test_all_mistakes_are_told_at_once() -> None:
    told = mistakes(
        """
        fruits:
          - {kind: apple, url: x, goals: {x: {target: fast, shar: 1}}}
          - {kind: bear}
          - {kind: pear, count: "${COUNT}"}
        size: 1q
        size: 2q
        nmae: ${NAME}
        goal: {target: "${TARGET}"}
        """,
        COUNT="many",
    )
    assert [line.partition(": ")[0] for line in told] == [
        "size",
        "nmae",
        "goal.target",
        "fruits[0].goals.x.target",
        "fruits[0].goals.x.shar",
        "fruits[1].kind",
        "fruits[2].count",
    ]


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("size: 1\nname: [1, 2", "line 2", "not valid YAML"),
        ("size: 1\nname: a: b", "line 2", "mapping values are not allowed"),
        ("fruits: [{kind: ${KIND}}]", "line 1", "put ${NAME} into quotes"),
        ("name: !!python/object:os.system x", "line 1", "could not determine a constructor"),
        ("goal: &a {target: *a}", "line 1", "an alias refers to itself"),
        ("name: *unknown", "line 1", "undefined alias"),
        ("size: 1\n---\nsize: 2", "line 2", "expected a single document"),
        ("? [1]\n: 2", "line 1", "unhashable key"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_line(text: str, where: str, what: str) -> None:
    (told,) = mistakes(text)
    assert told.startswith(f"{where}: ")
    assert what in told


def test_unprintable_characters_are_a_mistake_not_a_crash() -> None:
    (told,) = mistakes("size: 1\nname: \x07")
    assert told == "line 2: not valid YAML: special characters are not allowed"


def test_a_key_given_twice_is_told_with_both_lines() -> None:
    assert mistakes("goal:\n  target: 1m\n  target: 2m\n") == ["goal.target: given twice, in lines 2 and 3; keep one"]


@pytest.mark.parametrize(
    "text",
    [
        "fruits: ['postgresql://u:hunter22@h']",
        "fruits: 'postgresql://u:hunter22@h'",
        "users: 'hunter22'",
        "users: ['hunter22']",
        "goal: hunter22",
        "fruits: [{kind: apple, url: [hunter22]}]",
        "fruits: [{kind: apple, url: x, passwort: hunter22}]",
        "fruits: [{kind: pear, count: 'redis://:hunter22@h'}]",
    ],
)
def test_a_misplaced_secret_is_not_shown(text: str) -> None:
    assert "hunter22" not in "\n".join(mistakes(text))


class Sour(Settings):
    kind: Literal["sour"]

    @model_validator(mode="after")
    def _never(self) -> Self:
        raise ValueError("too sour")


class Bowl(Settings):
    fruits: list[Annotated[Apple | Sour, Field(discriminator="kind")]] = Field(default_factory=list)


def test_what_is_wrong_with_a_member_as_a_whole_is_told() -> None:
    with pytest.raises(SettingsError) as caught:
        parse("fruits: [{kind: sour}]", Bowl, {})
    assert [str(mistake) for mistake in caught.value.mistakes] == ["fruits[0]: too sour"]
