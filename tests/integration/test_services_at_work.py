"""Services under a living schedule: many at a time, some of them silent, in the daemon and at a reload."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from exporter.model import SampleFailed
from exporter.sampling.sampler import Run
from exporter.services.schedule import MOST_THREADS
from tests.support.exporter import Daemon, command, config, source
from tests.support.jobs import add, queues
from tests.support.probes import Watched
from tests.support.servers import RedisServer
from tests.support.services import Listener, answering, closed_port, silent, web_server
from tests.support.wait import eventually

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
QUICK = {"interval": "1s", "timeout": "3s"}


def http(name: str, address: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": "http", "url": f"http://{address}/{name}", **QUICK, **more}


class Visits:
    """A web server that remembers when who came."""

    def __init__(self) -> None:
        self.moments: dict[str, list[float]] = defaultdict(list)
        self.app = Starlette(routes=[Route("/{name}", self.answer)])

    async def answer(self, request: Request) -> Response:
        self.moments[request.path_params["name"]].append(time.monotonic())
        return PlainTextResponse("ok")


def test_services_that_hang_delay_no_other() -> None:
    """50 black holes, each waited for three times as long as its interval, and 20 good ones."""
    visits = Visits()
    with Listener(silent) as hole, web_server(visits.app) as port:
        holes = [http(f"hole-{n}", hole.address) for n in range(50)]
        good = [http(f"good-{n}", f"127.0.0.1:{port}") for n in range(20)]
        with Watched(*holes, *good) as watched:
            watched.part.start()
            eventually(lambda: len(visits.moments) == 20 and min(map(len, visits.moments.values())) >= 8, within=30)
            states = {watched.state(f"good-{n}") for n in range(20)}
            assert watched.part.schedule.threads <= 2 * MOST_THREADS
            (sampler,) = watched.part.samplers()
            sampler.sample(Run(watched.clock, 5))  # that services are down is no failure of ours
    gaps = [b - a for moments in visits.moments.values() for a, b in pairwise(moments)]
    # An interval each; a busy machine may be late by a few tenths, a black hole would make it seconds.
    assert max(gaps) < 2.0, sorted(gaps)[-10:]
    assert sum(gaps) / len(gaps) == pytest.approx(1.0, abs=0.1)
    assert states == {"healthy"}


def test_more_black_holes_than_threads() -> None:
    """Those that hang wait for each other, and still not the others for them."""
    visits = Visits()
    with Listener(silent) as hole, web_server(visits.app) as port:
        holes = [http(f"hole-{n}", hole.address, timeout="1500ms") for n in range(3 * MOST_THREADS)]
        with Watched(*holes, http("good", f"127.0.0.1:{port}")) as watched:
            watched.part.start()
            # Once each has been waited for, they are among themselves.
            eventually(lambda: watched.samples().series("postwatch_service_up", target=holes[-1]["name"]), within=40)
            eventually(lambda: sum(slot.slow for slot in watched.part.schedule.slots) == len(holes), within=40)
            before = len(visits.moments["good"])
            eventually(lambda: len(visits.moments["good"]) >= before + 5, within=30)
            assert watched.part.schedule.threads <= 2 * MOST_THREADS
    gaps = [b - a for a, b in pairwise(visits.moments["good"][before:])]
    assert max(gaps) < 2.0, gaps


def test_services_that_begin_to_hang_all_at_once_delay_no_other() -> None:
    """As when the network to many of them is gone: more than there are threads for who is prompt, and nobody knew."""
    visits, gone = Visits(), threading.Event()

    def falling_silent(connection: Any, over: threading.Event) -> None:
        connection.recv(65_536)
        if gone.is_set():
            over.wait()
        else:
            connection.sendall(OK)

    with Listener(falling_silent) as server, web_server(visits.app) as port:
        many = [http(f"far-{n}", server.address, interval="4s", timeout="6s") for n in range(MOST_THREADS + 40)]
        with Watched(*many, http("good", f"127.0.0.1:{port}")) as watched:
            watched.part.start()
            eventually(lambda: server.accepted >= len(many) and len(visits.moments["good"]) >= 2, within=40)
            assert watched.state("good") == "healthy"
            gone.set()
            before = len(visits.moments["good"])
            eventually(lambda: server.accepted >= 2 * len(many), within=40)
            eventually(lambda: len(visits.moments["good"]) >= before + 6, within=30)
            assert watched.part.schedule.threads <= 2 * MOST_THREADS
    gaps = [b - a for a, b in pairwise(visits.moments["good"][before - 1 :])]
    # An interval; were those counted that hang, seconds until the first of them are given up.
    assert max(gaps) < 2.0, gaps


def test_first_probes_are_spread() -> None:
    visits = Visits()
    with web_server(visits.app) as port:
        given = [http(f"s{n}", f"127.0.0.1:{port}") for n in range(40)]
        with Watched(*given) as watched:
            watched.part.start()
            eventually(lambda: len(visits.moments) == 40, within=20)
    first = sorted(moments[0] for moments in visits.moments.values())
    assert first[-1] - first[0] > 0.4  # 40 × 15 ms


def test_a_defect_is_the_samplers_failure_and_not_the_services(monkeypatch: pytest.MonkeyPatch) -> None:
    with Watched(http("it", f"127.0.0.1:{closed_port()}")) as watched:
        (target,), (sampler,) = watched.part.targets, watched.part.samplers()

        def broken(_attempt: object) -> None:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(target, "_probe", broken)
        with pytest.raises(SampleFailed, match="Too many open files") as failed:
            sampler.sample(Run(watched.clock, 5))
        assert failed.value.reason == "internal"
        assert watched.samples().get("postwatch_service_probes_total") is None
        monkeypatch.undo()
        sampler.sample(Run(watched.clock, 5))
        assert watched.samples().value("postwatch_service_probes_total") == 1


def test_a_backlog_degrades() -> None:
    with Listener(answering(OK)) as server:
        backlog = {"source": "mail", "queues": ["queue:email*"], "degraded": 100}
        # Of a section alone, sources are not known, and not asked for.
        with Watched(http("it", server.address, backlog=backlog), depth=101) as watched:
            samples = watched.look()
            assert watched.state("it") == "degraded"
            assert samples.value("postwatch_service_up") == 1
            (line,) = watched.part.table().lines
            assert (line.word, line.cells[-1]) == ("degraded", "101 jobs wait for it, more than 100")
            watched.depth = 100
            watched.look()
            assert watched.state("it") == "degraded"
            watched.look()
            assert watched.state("it") == "healthy"


def test_slow_answers_degrade_and_the_histogram_has_every_probe() -> None:
    slow = threading.Event()
    slow.set()

    def handle(connection: Any, over: threading.Event) -> None:
        connection.recv(65_536)
        if slow.is_set():
            over.wait(0.3)
        connection.sendall(OK)

    with Listener(handle) as server, Watched(http("it", server.address, degraded_after="250ms")) as watched:
        samples = watched.look(2)
        assert watched.state("it") == "degraded"
        assert samples.value("postwatch_service_response_seconds_bucket", le="0.25") == 0
        assert samples.value("postwatch_service_response_seconds_sum") >= 0.6
        assert samples.value("postwatch_service_phase_seconds", phase="first_byte") >= 0.3
        slow.clear()
        samples = watched.look(2)
        assert samples.value("postwatch_service_response_seconds_count") == 4
        assert samples.value("postwatch_service_probes_total") == 4


# In the daemon, and by the command line


@pytest.fixture
def api() -> Iterator[str]:
    with Listener(answering(OK)) as server:
        yield server.address


def test_the_daemon_goes_on_over_a_reload(api: str, tmp_path: Path) -> None:
    given = config(stale_after="10s")
    given["services"] = [http("api", api, labels={"team": "a"}), http("gone", api), http("gone-too", api)]
    with Daemon(tmp_path, given) as daemon:
        daemon.until("postwatch_service_up", 1, target="api", team="a")
        daemon.until("postwatch_sampler_up", 1, sampler="services", source="")
        before = eventually(
            lambda: (n := daemon.samples().value("postwatch_service_probes_total", target="api")) >= 3 and n
        )
        given["services"] = [
            http("api", api, labels={"team": "b"}), http("gone-too", api), http("new", f"127.0.0.1:{closed_port()}"),
        ]  # fmt: skip
        daemon.write(given)
        samples = daemon.until("postwatch_service_up", 0, target="new")
        assert samples.value("postwatch_service_probes_total", target="api", team="b") >= before
        assert samples.series("postwatch_service_probes_total", target="api", team="a") == []
        assert samples.series("postwatch_service_probes_total", target="gone") == []
        assert samples.value("postwatch_service_up", target="gone-too") == 1
        page = daemon.get("/").text
        assert page.index(">new<") < page.index(">api<")  # worst first
        daemon.until("postwatch_service_state", 1, target="new", state="down")
        given["services"] = []
        daemon.write(given)
        eventually(lambda: not daemon.samples().series("postwatch_service_up"), within=20)
        assert daemon.stop() == 0
    ((line, *_more),) = (
        [each for each in daemon.log() if each["event"] == "service_state" and each["state"] == "down"],
    )
    assert (line["target"], line["level"]) == ("new", "warning")


def test_an_end_does_not_wait_for_a_probe(tmp_path: Path) -> None:
    given = config()
    with Listener(silent) as hole:
        given["services"] = [http(f"hole-{n}", hole.address, timeout="5m") for n in range(5)]
        with Daemon(tmp_path, given) as daemon:
            eventually(lambda: hole.accepted >= 5, within=20)
            began = time.monotonic()
            assert daemon.stop() == 0
            assert time.monotonic() - began < 10


def test_sample_looks_once_at_everything(api: str, tmp_path: Path, pg15: Any, redis_server: RedisServer) -> None:
    path = tmp_path / "p.yml"
    daemon = Daemon(tmp_path, "")
    dead = closed_port()
    services = [
        http("api", api), {"name": "db", "kind": "postgres", "url": pg15.url()},
        {"name": "cache", "kind": "redis", "url": redis_server.url}, http("dead", f"127.0.0.1:{dead}"),
    ]  # fmt: skip
    daemon.write({"services": services})
    daemon.config.rename(path)
    done = command("sample", "--config", str(path), "services")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line]
    assert lines[0] == ["Services"]
    assert [line[:2] for line in lines[2:]] == [
        ["dead", "http"],
        ["api", "http"],
        ["db", "postgres"],
        ["cache", "redis"],
    ]
    assert "refused: nobody listens there" in done.stdout
    done = command("sample", "--config", str(path), "--format", "prometheus")
    assert 'postwatch_service_up{kind="postgres",target="db"} 1.0' in done.stdout
    done = command("check", "--connect", "--config", str(path))
    assert "dead (http): refused: nobody listens there" in done.stdout
    assert done.returncode == 0


def test_a_backlog_is_that_of_a_source(api: str, tmp_path: Path, database: Any) -> None:
    with database.connect() as owner:
        queues(owner, "email-sending")
        add(owner, queue_name="email-sending", count=7, run_at=-60)
    given = config(source(database.reader_url))
    backlog = {"source": "mail", "queues": ["queue:email-*"], "degraded": 6}
    given["services"] = [http("api", api, backlog=backlog)]
    with Daemon(tmp_path, given) as daemon:
        daemon.until("postwatch_service_state", 1, target="api", state="degraded")
