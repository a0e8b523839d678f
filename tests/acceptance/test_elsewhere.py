"""The demo's platform on servers of somebody else, as deploy/compose.yaml starts it."""

import subprocess
import sys

import psycopg

from demo.servers import Postgres
from tests.support.documents import REPOSITORY
from tests.support.servers import RedisServer


def lives(postgres: Postgres, store: RedisServer, seconds: int) -> str:
    """What it said, living for so long."""
    command = [sys.executable, "-m", "demo.elsewhere", "--postgres", postgres.url(), "--redis", store.url]
    done = subprocess.run(
        [*command, "--duration", f"{seconds}s"], cwd=REPOSITORY, text=True, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def jobs(postgres: Postgres) -> int:
    with psycopg.connect(postgres.url("mail")) as db:
        (count,) = db.execute("select count(*) from jobs").fetchone() or (0,)
        return int(count)


def test_it_creates_its_tables_once_and_lives_on_after_a_restart(own_pg18: Postgres, own_redis: RedisServer) -> None:
    lives(own_pg18, own_redis, 2)
    before = jobs(own_pg18)
    assert before > 0
    lives(own_pg18, own_redis, 2)
    assert jobs(own_pg18) > before
