"""One workspace, and a receiver that tells it."""

from collections.abc import Iterator

import pytest

from alerter.receivers.base import Receiver
from tests.contracts.receiving import SlackHarness, receiver


@pytest.fixture
def slack() -> Iterator[SlackHarness]:
    harness = SlackHarness()
    yield harness
    harness.stop()


@pytest.fixture
def it(slack: SlackHarness) -> Iterator[Receiver]:
    with receiver(slack) as made:
        yield made
