"""Secrets are revealed on demand and seen nowhere else."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.secrets import Secret, SecretUnavailable, SecretUrl, mask, redact, safe_url
from chassis.settings import Settings, SettingsError, parse


class Login(Settings):
    password: Secret
    url: SecretUrl | None = None


def test_a_file_is_read_each_time_without_its_last_newline(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("first \n\n")
    secret = Secret.from_file(file)
    assert secret.reveal() == "first \n"
    file.write_text("second\r\n")
    assert secret.reveal() == "second"
    assert set(secret.known()) == {"second", "first \n"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), (b"", "empty"), (b"\xff\xfe", "not UTF-8"), (b"x" * 2_000_000, "too large")],
)
def test_an_unusable_file_is_named_without_its_content(tmp_path: Path, content: bytes | None, reason: str) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SecretUnavailable, match=reason) as error:
        Secret.from_file(file).reveal()
    assert str(file) in str(error.value)
    assert "xx" not in str(error.value)


def test_no_representation_shows_the_value() -> None:
    login = parse("{password: hunter22, url: 'redis://:hunter22@h/0'}", Login, {})
    seen = [
        repr(login),
        str(login),
        str(login.password),
        f"{login.url}",
        login.model_dump_json(),
        repr(login.model_dump()),
    ]
    assert not [text for text in seen if "hunter22" in text]
    assert login.password.reveal() == "hunter22"


def test_secrets_compare_by_value_and_by_file() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret.from_file(Path("a")) == Secret.from_file(Path("a")) != Secret("a")
    assert hash(Secret("a")) == hash(Secret("a"))


@pytest.mark.parametrize(
    "text", ["password: 12345", "password: [hunter22]", "password: ''", "hunter22", "password: {a: hunter22}"]
)
def test_no_mistake_shows_the_value(text: str) -> None:
    with pytest.raises(SettingsError) as error:
        parse(text, Login, {})
    assert "hunter22" not in str(error.value)
    assert "12345" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("postgresql://u:hunter22@h:5432/db", "postgresql://u:***@h:5432/db"),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
        ("postgresql://u:hun@ter/2?2@h/db", "postgresql://u:***@h/db"),
        (
            "postgresql:///db?host=/run&password=hunter22&user=u",
            "postgresql:///db?host=/run&password=***&user=u",
        ),
        ("postgresql://h/db?sslpassword=hunter22", "postgresql://h/db?sslpassword=***"),
        ("redis+sentinel://:hunter22@h1:26379,h2/mymaster/0", "redis+sentinel://:***@h1:26379,h2/mymaster/0"),
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("https://hunter22@h/path", "https://***@h/path"),
        ("https://h/path?access_token=hunter22", "https://h/path?access_token=***"),
        ("host=h password=hunter22 dbname=d", "host=h password=*** dbname=d"),
        (r"host=h password='hunt\'er 22' dbname=d", "host=h password=*** dbname=d"),
        ("host=h password='hunter 22", "host=h password=***"),
        ("hunter22", "***"),
        ("", "***"),
    ],
)
def test_the_safe_form_of_a_url_keeps_what_helps(url: str, safe: str) -> None:
    assert safe_url(url) == safe
    assert SecretUrl(url).safe == safe


PASSWORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4).map(lambda text: f"Zq{text}qZ")


@given(PASSWORDS)
def test_no_password_survives_in_the_safe_form(password: str) -> None:
    for url in (f"postgresql://u:{password}@h/db", f"redis+sentinel://:{password}@h1,h2/0"):
        assert password not in safe_url(url)


@given(PASSWORDS)
def test_the_password_of_a_known_url_is_redacted_alone_too(password: str) -> None:
    secret = SecretUrl(f"postgresql://u:{password}@h/db")
    assert password not in redact(f"no entry with {password} for u", [secret])


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("cannot reach redis://:hunter22@h/0 now", "cannot reach redis://:***@h/0 now"),
        ("http://h:8080/users/a@b", "http://h:8080/users/a@b"),
        ("connect host=h password=hunter22 failed", "connect host=h password=*** failed"),
        ("{'password': 'hunter22', 'user': 'u'}", "{'password': ***, 'user': 'u'}"),
        ("Authorization: Bearer abcdef.ghijkl-1", "Authorization: Bearer ***"),
        ("authorization: basic dXNlcjpwYXNzd29yZA==", "authorization: basic ***"),
        ("password authentication failed for user u", "password authentication failed for user u"),
    ],
)
def test_what_looks_like_credentials_is_masked(text: str, masked: str) -> None:
    assert mask(text) == masked


def test_the_longer_secret_is_masked_before_its_part() -> None:
    assert redact("hunter22 hunter", [Secret("hunter"), Secret("hunter22")]) == "*** ***"


def test_words_too_short_to_be_searched_for_stay() -> None:
    assert redact("is it ok", [Secret("it")]) == "is it ok"


@pytest.mark.parametrize(
    ("url", "hidden"),
    [
        ("postgresql://postwatch@db:5432/mail", False),
        ("redis://127.0.0.1:6379/0", False),
        ("postgresql://postwatch:hunter2@db:5432/mail", True),
        ("https://hooks.example.org/services/T0/B0/abcdef", True),
    ],
)
def test_an_address_without_credentials_may_stand_in_a_log(url: str, hidden: bool) -> None:
    assert (url in redact(f"{url}: connection refused", [SecretUrl(url)])) is not hidden
