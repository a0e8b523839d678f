"""The alerter's store for every test that needs one, without a daemon; tests/support/README.md tells of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import booked
from tests.support.booked import World


@pytest.fixture(params=booked.STORES)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with booked.world(request.param, request, tmp_path) as made:
        yield made
