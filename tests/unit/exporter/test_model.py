"""Names of queues and their priorities."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import PRIORITIES, QueueKey, Reason, Remark, SampleFailed, priority_class

WRITTEN = {
    "queue:email-sending:high": ("email-sending", "high"),
    "email-sending:high": ("email-sending", "high"),
    "queue:email-sending": ("email-sending", "normal"),
    "email-sending": ("email-sending", "normal"),
    "queue:email-sending:normal": ("email-sending", "normal"),
    "queue:email-sending:low": ("email-sending", "low"),
    "queue:analytics:daily-aggregate": ("analytics:daily-aggregate", "normal"),
    "queue:analytics:daily-aggregate:low": ("analytics:daily-aggregate", "low"),
    "queue:warmup:process": ("warmup:process", "normal"),
    "queue:email:urgent": ("email:urgent", "normal"),
    "queue:email:High": ("email:High", "normal"),
    "high": ("high", "normal"),
    "queue:high": ("high", "normal"),
    ":high": (":high", "normal"),
    "queue:queue:x": ("queue:x", "normal"),
    'a"b\\c\n☃': ('a"b\\c\n☃', "normal"),
}


@pytest.mark.parametrize(("written", "key"), WRITTEN.items())
def test_a_name_is_taken_apart(written: str, key: tuple[str, str]) -> None:
    assert QueueKey.parse(written) == key


@given(st.text(st.characters(exclude_characters=":"), min_size=1), st.sampled_from(PRIORITIES))
def test_what_is_written_out_is_read_back(queue: str, priority: str) -> None:
    key = QueueKey(queue, priority)
    assert QueueKey.parse(key.full_name) == key
    assert key.full_name.count("queue:") == 1
    assert key.labels == {"queue": queue, "priority": priority}


@pytest.mark.parametrize(
    ("number", "name"),
    [(-5, "high"), (0, "high"), (50, "high"), (51, "normal"), (100, "normal"), (150, "normal"), (151, "low")],
)
def test_classes_of_numbers(number: int, name: str) -> None:
    assert priority_class(number) == name


def test_a_failure_says_what_to_do() -> None:
    assert str(SampleFailed(Reason.AUTH, "no entry", "check the password")) == "no entry; check the password"
    assert str(SampleFailed(Reason.AUTH, "no entry")) == "no entry"
    assert str(Remark("mail", "no index", "create index …")) == "mail: no index\n    create index …"
