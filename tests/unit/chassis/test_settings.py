"""Configuration files: what is accepted, and what each mistake is told as."""

from pathlib import Path
from typing import Annotated, Literal, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, model_validator

from chassis.secrets import Secret, SecretUrl
from chassis.settings import (
    InputFile,
    LocalPath,
    Mistake,
    Settings,
    SettingsError,
    load,
    parse,
    secrets_in,
    warnings,
)
from chassis.units import Duration, Ratio, Size


class Goal(Settings):
    target: Duration
    share: Ratio | None = None


class Apple(Settings):
    kind: Literal["apple"]
    url: SecretUrl
    goals: dict[str, Goal] = Field(default_factory=dict)
    layout: Literal["plain", "fancy"] | Goal = Field(default="plain", alias="schema")


class Pear(Settings):
    kind: Literal["pear", "quince"]
    count: int = Field(default=3, ge=1, le=10)
    ratio: float = 1.0


Fruit = Annotated[Apple | Pear, Field(discriminator="kind")]


class Basket(Settings):
    fruits: list[Fruit] = Field(default_factory=list)
    size: Size = 0
    ripe: bool = True
    name: str = ""
    codes: int | list[int] = 200
    users: dict[str, Secret] = Field(default_factory=dict)
    goal: Goal | None = None
    cert: InputFile | None = None
    state: LocalPath | None = None

    @model_validator(mode="after")
    def _no_more_than_three(self) -> "Basket":
        if len(self.fruits) > 3:
            raise ValueError("at most three fruits fit")
        return self


ALLOWED = "allowed: fruits, size, ripe, name, codes, users, goal, cert, state"
NO_DURATION = "is no duration; write e.g. 90s, 5m, 1h"


def mistakes(text: str, **environ: str) -> list[str]:
    with pytest.raises(SettingsError) as error:
        parse(text, Basket, environ)
    assert str(error.value) == "\n".join(map(str, error.value.mistakes))
    return [str(mistake) for mistake in error.value.mistakes]


def test_an_empty_file_means_the_defaults() -> None:
    assert parse("", Basket, {}) == parse("# nothing\n", Basket, {}) == Basket()


def test_a_whole_file_is_read() -> None:
    basket = parse(
        """
        fruits:
          - kind: apple
            url: redis://:pw@h
            goals: {"queue:a": {target: 1m, share: 5%}}
            schema: {target: 2h}
          - {kind: quince, count: 7}
        size: 64MiB
        codes: [200, 204]
        """,
        Basket,
        {},
    )
    apple, pear = basket.fruits
    assert isinstance(apple, Apple)
    assert isinstance(pear, Pear)
    assert isinstance(apple.layout, Goal)
    assert (apple.url.reveal(), apple.goals["queue:a"].share, apple.layout.target) == (
        "redis://:pw@h",
        0.05,
        7200,
    )
    assert (pear.kind, pear.count, basket.size, basket.codes) == ("quince", 7, 64 << 20, [200, 204])


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


def test_anchors_and_merges_are_understood() -> None:
    text = "fruits:\n- &a {kind: pear, count: 2}\n- {<<: *a, count: 5}\n- *a\n"
    basket = parse(text, Basket, {})
    assert [fruit.count for fruit in basket.fruits if isinstance(fruit, Pear)] == [2, 5, 2]


class TestTheEnvironment:
    @pytest.mark.parametrize(
        ("written", "environ", "name"),
        [
            ("${A}", {"A": "x"}, "x"),
            ("${A}-${B}", {"A": "x", "B": "y"}, "x-y"),
            ("${A:-z}", {}, "z"),
            ("${A:-z}", {"A": ""}, "z"),
            ("${A:-z}", {"A": "x"}, "x"),
            ("${A:-}", {}, ""),
            ("${A}", {"A": ""}, ""),
            ("${A:-redis://h:1/0}", {}, "redis://h:1/0"),
            ("$${A}", {"A": "x"}, "${A}"),
            ("$$${A}", {"A": "x"}, "$${A}"),
            ("$A $ {A} a$", {"A": "x"}, "$A $ {A} a$"),
            ("${A}", {"A": "${B}"}, "${B}"),
        ],
    )
    def test_variables_are_filled_in(self, written: str, environ: dict[str, str], name: str) -> None:
        assert parse(f"name: '{written}'", Basket, environ).name == name

    def test_an_unset_one_is_told_where_it_is_used(self) -> None:
        told = mistakes("fruits: [{kind: apple, url: '${URL}'}]\nsize: '${SIZE}'")
        assert told == [
            "fruits[0].url: the environment has no URL; set it or write ${URL:-default}",
            "size: the environment has no SIZE; set it or write ${SIZE:-default}",
        ]

    @pytest.mark.parametrize("written", ["${", "${}", "${1A}", "${A", "${A-x}"])
    def test_what_is_no_variable_is_told(self, written: str) -> None:
        (told,) = mistakes(f"name: '{written}'")
        assert told == "name: '${' begins no ${NAME} or ${NAME:-default}; a literal one is $${"

    def test_numbers_and_booleans_may_come_from_it(self) -> None:
        pear = "{kind: pear, count: '${N}', ratio: '${R}'}"
        text = f"{{ripe: '${{RIPE}}', size: '${{SIZE}}', codes: '${{CODE}}', fruits: [{pear}]}}"
        basket = parse(text, Basket, {"RIPE": "false", "SIZE": "12", "CODE": "204", "N": "7", "R": "0.5"})
        assert (basket.ripe, basket.size, basket.codes) == (False, 12, 204)
        assert basket.fruits == [Pear(kind="pear", count=7, ratio=0.5)]

    def test_a_text_stays_one_even_if_it_looks_like_a_number(self) -> None:
        assert parse("name: ${N}", Basket, {"N": "0123"}).name == "0123"

    @given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
    def test_no_value_becomes_yaml_or_is_read_twice(self, value: str) -> None:
        basket = parse("name: ${V}", Basket, {"V": value, "A": "no"})
        assert basket.name == value

    @given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
    def test_what_has_no_dollar_stays_as_it_is(self, text: str) -> None:
        if "${" not in text:
            quoted = text.replace("'", "''")
            assert parse(f"name: '{quoted}'", Basket, {}).name == text


class TestSecretFiles:
    def test_a_secret_may_be_in_a_file_beside_the_configuration(self, tmp_path: Path) -> None:
        (tmp_path / "url").write_text("redis://:pw@h\n")
        (tmp_path / "jo").write_text("hash\n")
        config = tmp_path / "config.yml"
        config.write_text("fruits: [{kind: apple, url_file: url}]\nusers: {jo_file: jo, al: here}\nstate: s\n")
        basket = load(config, Basket, {})
        assert {path: secret.reveal() for path, secret in secrets_in(basket)} == {
            "fruits[0].url": "redis://:pw@h",
            "users.jo": "hash",
            "users.al": "here",
        }
        assert isinstance(basket.fruits[0], Apple)
        assert isinstance(basket.fruits[0].url, SecretUrl)
        assert basket.state == tmp_path / "s"
        assert warnings(basket) == []

    def test_absolute_paths_stay(self) -> None:
        assert parse("state: /var/lib/x", Basket, {}, origin="/etc/p/c.yml").state == Path("/var/lib/x")

    def test_both_is_a_mistake(self) -> None:
        assert mistakes("fruits: [{kind: apple, url: x, url_file: y}]\nusers: {jo: a, jo_file: b}") == [
            "fruits[0].url: given twice, as url and as url_file; keep one",
            "users.jo: given twice, as jo and as jo_file; keep one",
        ]

    @pytest.mark.parametrize("path", ["5", "''", "[a]", ""])
    def test_the_path_has_to_be_one(self, path: str) -> None:
        assert mistakes(f"users: {{jo_file: {path}}}") == ["users.jo: jo_file has to be the path of a file"]

    def test_only_secrets_have_files(self) -> None:
        (told,) = mistakes("name_file: x")
        assert told.startswith("name_file: no such key")

    def test_a_file_that_is_missing_is_a_warning(self, tmp_path: Path) -> None:
        origin = str(tmp_path / "config.yml")
        text = "fruits: [{kind: apple, url_file: url}]\nusers: {jo_file: /}\ncert: c\nstate: s\n"
        basket = parse(text, Basket, {}, origin=origin)
        assert warnings(basket) == [
            Mistake("fruits[0].url_file", f"{tmp_path / 'url'}: No such file or directory"),
            Mistake("users.jo_file", "/: Is a directory"),
            Mistake("cert", f"{tmp_path / 'c'}: No such file or directory"),
        ]


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


def test_a_file_that_cannot_be_read_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        load(tmp_path / "none.yml", Basket, {})
    (tmp_path / "latin.yml").write_bytes(b"name: \xe9")
    with pytest.raises(SettingsError, match="not UTF-8 text, at byte 6"):
        load(tmp_path / "latin.yml", Basket, {})


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


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Basket().name = "x"  # type: ignore[misc]  # the point of it
