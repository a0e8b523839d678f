"""What a provider's answer says beside its status."""

import time
from email.utils import formatdate

import pytest

from alerter.receivers.wire import Answer


@pytest.mark.parametrize(("seconds", "wait"), [(90, 90), (-90, 0), (86_400, 3600)])
def test_patience_may_be_asked_for_until_a_date(seconds: float, wait: float) -> None:
    """RFC 9110 section 10.2.3: a number of seconds, or a date, which is in whole seconds."""
    answer = Answer("h", 429, {"retry-after": formatdate(time.time() + seconds, usegmt=True)}, "")
    assert answer.retry_after == pytest.approx(wait, abs=30)
    assert answer.retry_after is not None
    assert (answer.retry_after > 0) is (seconds > 0)
