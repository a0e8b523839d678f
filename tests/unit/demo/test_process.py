"""Who listens where."""

import os
import socket
import subprocess

from demo.process import listens


def test_one_that_has_ended_listens_nowhere() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, subprocess.Popen(["true"]) as other:
        port = server.getsockname()[1]
        assert listens(os.getpid(), port)
        other.wait()
        assert not listens(other.pid, port)
