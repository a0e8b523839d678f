"""Configuration files: what is accepted, where its values may stand, and what is a mistake there."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.secrets import SecretUrl
from chassis.settings import Mistake, SettingsError, load, parse, secrets_in, warnings
from tests.unit.chassis.basket import Apple, Basket, Goal, Pear, mistakes


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


def test_a_file_that_cannot_be_read_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        load(tmp_path / "none.yml", Basket, {})
    (tmp_path / "latin.yml").write_bytes(b"name: \xe9")
    with pytest.raises(SettingsError, match="not UTF-8 text, at byte 6"):
        load(tmp_path / "latin.yml", Basket, {})


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Basket().name = "x"  # type: ignore[misc]  # the point of it
