"""Twenty million ended rows."""

from pathlib import Path

import pytest

from tests.bench.database_time import MILLION, by_size
from tests.support.servers import Postgres15

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


def test_a_sample_costs_the_same_with_twenty_million_rows(server: Postgres15, tmp_path: Path) -> None:
    by_size(server, tmp_path, [MILLION // 10, MILLION, 5 * MILLION, 20 * MILLION], "database-time-20-million")
