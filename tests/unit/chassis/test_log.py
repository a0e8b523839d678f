"""Lines that machines read and that tell no secret."""

import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from chassis.log import Redactor, Repeats, configure, get_logger
from chassis.secrets import Secret, SecretUrl


class Stream(io.StringIO):
    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def stream() -> Iterator[Stream]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield Stream()
    root.handlers[:], _ = before
    root.setLevel(before[1])
    structlog.reset_defaults()


@pytest.fixture
def redactor(stream: Stream) -> Redactor:
    return configure("info", "json", stream)


def test_a_line_has_its_fields_in_order(stream: Stream, redactor: Redactor) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        get_logger("postwatch.test").info("something happened", count=3)
    (line,) = stream.lines
    assert list(line) == ["timestamp", "level", "logger", "event", "request_id", "count"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"])
    assert (line["level"], line["logger"], line["event"], line["count"]) == (
        "info",
        "postwatch.test",
        "something happened",
        3,
    )


def test_libraries_go_the_same_way(stream: Stream, redactor: Redactor) -> None:
    logging.getLogger("uvicorn.error").warning("bad %s", "request", extra={"color_message": "\x1b[1m"})
    (line,) = stream.lines
    assert (line["logger"], line["event"], line["level"]) == ("uvicorn.error", "bad request", "warning")
    assert "color_message" not in line


def test_less_severe_lines_are_left_out(stream: Stream, redactor: Redactor) -> None:
    get_logger("a").debug("no")
    logging.getLogger("b").debug("no")
    assert stream.lines == []


def open_account(password: str) -> None:
    raise RuntimeError(f"login with {password} failed")


def test_secrets_are_masked_wherever_they_stand(stream: Stream, redactor: Redactor) -> None:
    redactor.learn([Secret("hunter22"), SecretUrl("postgresql://u:s3cr3t-pw@h/db")])
    try:
        open_account("hunter22")
    except RuntimeError as error:
        get_logger("a").exception(
            "no hunter22 in here",
            nested={"list": ["hunter22", {"deep": "s3cr3t-pw"}]},
            error=error,
            password="anything",
            connection="redis://:other@h/0",
        )
    logging.getLogger("lib").error("failed: %s", "password=hunter22")
    text = stream.getvalue()
    assert not [word for word in ("hunter22", "s3cr3t-pw", "anything", "other@") if word in text]
    assert "RuntimeError: login with *** failed" in stream.lines[0]["exception"]
    assert stream.lines[0]["connection"] == "redis://:***@h/0"


def test_what_was_learnt_once_stays_masked(stream: Stream, redactor: Redactor) -> None:
    redactor.learn([Secret("first-one")])
    redactor.learn([Secret("second-one")])
    get_logger("a").info("first-one second-one")
    assert stream.lines[0]["event"] == "*** ***"


def test_a_secret_that_was_rotated_is_masked_from_its_first_use(
    stream: Stream, redactor: Redactor, tmp_path: Path
) -> None:
    (file := tmp_path / "password").write_text("before-it")
    secret = Secret.from_file(file)
    redactor.learn([secret, Secret("of-another")])
    secret.reveal()
    get_logger("a").info("before-it of-another")
    file.write_text("after-it")
    secret.reveal()
    get_logger("a").info("before-it after-it of-another")
    assert [line["event"] for line in stream.lines] == ["*** ***", "*** *** ***"]


def test_a_line_costs_the_same_however_many_secrets_there_are(stream: Stream, redactor: Redactor) -> None:
    asked: list[str] = []

    class Costly(Secret):
        def known(self) -> tuple[str, ...]:
            asked.append(self.reveal())
            return super().known()

    redactor.learn(Costly(f"the-secret-{number}") for number in range(50))
    told = len(asked)
    get_logger("a").warning("the-secret-7 and the-secret-31", further="the-secret-0")
    assert stream.lines[0]["event"] == "*** and ***"
    assert len(asked) == told


def test_console_lines_are_for_people_and_redacted(stream: Stream) -> None:
    redactor = configure("debug", "console", stream)
    redactor.learn([Secret("hunter22")])
    get_logger("a").debug("hello hunter22", n=1)
    assert "hello ***" in stream.getvalue()
    assert "n=1" in stream.getvalue()


def test_a_repeated_failure_is_said_once(stream: Stream, redactor: Redactor) -> None:
    repeats = Repeats(get_logger("a"))
    said = [
        repeats.failed("db", "cannot sample", reason="refused", attempt=1),
        repeats.failed("db", "cannot sample", reason="refused", attempt=2),
        repeats.failed("other", "cannot sample", reason="refused"),
        repeats.failed("db", "cannot sample", reason="timeout"),
        repeats.recovered("db", "samples again"),
        repeats.recovered("db", "samples again"),
        repeats.failed("db", "cannot sample", reason="timeout"),
    ]
    assert said == [True, False, True, True, True, False, True]
    assert [(line["level"], line.get("reason")) for line in stream.lines] == [
        ("warning", "refused"),
        ("warning", "refused"),
        ("warning", "timeout"),
        ("info", None),
        ("warning", "timeout"),
    ]


def test_what_is_forgotten_does_not_recover(stream: Stream, redactor: Redactor) -> None:
    repeats = Repeats(get_logger("a"))
    repeats.failed("db", "cannot sample", reason="refused")
    repeats.forget("db")
    assert not repeats.recovered("db", "samples again")
