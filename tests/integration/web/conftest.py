"""Web sides that run until their test is over, and what they log."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from chassis.log import configure
from tests.integration.web.shell import Serve, Shell


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure("debug", "json", stream)
    yield stream
    configure("warning", "json")


@pytest.fixture
def serve(tmp_path: Path, logs: io.StringIO) -> Iterator[Serve]:
    running: list[Shell] = []

    def start(text: str = "", **arguments: float) -> Shell:
        shell = Shell(text or "listen: 127.0.0.1:0", tmp_path, **arguments)
        running.append(shell)
        shell.server.start()
        return shell

    yield start
    for shell in running:
        shell.go_on.set()
        shell.server.stop(5)
