"""A server for measurements alone."""

from collections.abc import Iterator

import pytest

from tests.bench import bed
from tests.support.servers import Postgres15


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres15]:
    """A PostgreSQL 15 that nobody else uses."""
    with bed.postgres() as postgres:
        yield postgres
