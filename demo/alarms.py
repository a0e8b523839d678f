"""What turns the demo's figures into messages: the alerter, those it tells, and Prometheus with Alertmanager before it.

Where these two are not installed, the demo evaluates a few rules itself, and says so.
"""

import contextlib
import http.client
import json
import shutil
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from demo.people import People
from demo.process import answers_well, free_port, tail
from demo.prometheus import ALERTMANAGER, PACKAGES, PROMETHEUS, Alertmanager, Prometheus, program
from demo.rules import NAMES, Teller
from demo.scrape import NoMetrics, scrape
from demo.server import Server
from demo.shipped import SHIPPED, Addresses, alertmanager_config, prometheus_config

KEEP_FIRING = "15s"  # instead of minutes: who looks at a demo wants to see an end
_EVALUATE_EVERY = 2.0  # seconds
_GRAFANA = "http://127.0.0.1:3000"

Progress = Callable[[str], AbstractContextManager[None]]


class Evaluation(threading.Thread):
    """The demo's own: looks at the exporter and tells the alerter."""

    def __init__(self, exporter: str, alerter: str) -> None:
        super().__init__(name="rules", daemon=True)
        self._exporter = exporter
        self._teller = Teller(alerter)
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.wait(_EVALUATE_EVERY):
            with contextlib.suppress(NoMetrics):  # what cannot be seen is not over
                self._teller.tell(scrape(self._exporter))

    def stop(self) -> None:
        self._stopping.set()
        self.join(timeout=15)


class Alerter(Server):
    """The alerter, as a user would start it, with all that it keeps in its folder."""

    kind = "alerter"

    def __init__(self, folder: Path, *, port: int, keep: bool) -> None:
        super().__init__(folder, port=port, keep=keep)
        self.url = f"http://127.0.0.1:{port}"
        self.config = self.folder / "alerter.yml"

    def command(self) -> list[str]:
        return [sys.executable, "-m", "alerter", "run", "--config", str(self.config)]

    def answers(self) -> bool:
        return answers_well(f"{self.url}/readyz")


class Alarms:
    """Started before the story begins, and ended by `stop`, in whatever state it is."""

    def __init__(self, folder: Path, exporter: str, *, keep: bool) -> None:
        """`exporter` is the URL of what is scraped; all that is written goes below `folder`, which exists."""
        self.people = People()
        self.alerter = Alerter(folder / "alerter", port=free_port(), keep=keep)
        self.prometheus: Prometheus | None = None
        self.alertmanager: Alertmanager | None = None
        self._folder = folder
        self._exporter = exporter
        self._keep = keep
        self._stack = contextlib.ExitStack()

    @property
    def missing(self) -> str:
        """Why the demo evaluates rules itself, and what can be done about it; empty if it does not have to."""
        if program(PROMETHEUS) and program(ALERTMANAGER):
            if SHIPPED.exists():
                return ""
            return "Their files are not here: run it from a checkout, which has deploy/prometheus"
        if shutil.which("apt-get"):
            return f"To have all of them: sudo apt-get install --no-install-recommends {PACKAGES}"
        return "To have all of them, install Prometheus and Alertmanager, so that they are on PATH"

    def start(self, progress: Progress) -> None:
        """Raises ServerError with a sentence for a person."""
        with progress("Starting stand-ins for PagerDuty, Slack and SMS, and the alerter that tells them"):
            self._stack.enter_context(self.people)
            port = None if self.missing else free_port()
            managers = [] if port is None else [f"http://127.0.0.1:{port}"]
            text = self.people.alerter_config(self.alerter.folder, self.alerter.port, managers)
            self.alerter.config.touch(mode=0o600)
            self.alerter.config.write_text(text)
            self._run(self.alerter)
        if port is None:
            evaluation = Evaluation(self._exporter, self.alerter.url)
            evaluation.start()
            self._stack.callback(evaluation.stop)
        else:
            with progress("Starting Prometheus and Alertmanager, with the rules and routes of deploy/prometheus"):
                self._start_prometheus(port)

    def stop(self) -> None:
        self._stack.close()

    def problem(self) -> str | None:
        """What is not running any more, in a sentence."""
        for server in (self.alerter, self.prometheus, self.alertmanager):
            if server is not None and not server.running:
                return f"{server.kind} ended:\n{tail(server.log)}"
        return None

    def links(self) -> Iterator[tuple[str, str]]:
        """What there is to look at, and where."""
        yield "who was told, and how that went", f"{self.alerter.url}/"
        if self.prometheus is not None and self.alertmanager is not None:
            yield "Prometheus, with all rules", f"{self.prometheus.url}/alerts"
            yield "Alertmanager", f"{self.alertmanager.url}/#/alerts"
            if grafana_answers(_GRAFANA):
                yield "Grafana", f"{_GRAFANA}/ with {self.prometheus.url} as its data source"
        yield "the alerter's configuration", str(self.alerter.config)
        yield "the alerter's log", str(self.alerter.log)

    @property
    def remark(self) -> str:
        """What feeds the alerter, said openly."""
        if self.prometheus is not None:
            return (
                "Prometheus and Alertmanager run with the files of deploy/prometheus: other addresses, and what keeps"
                f" firing for minutes does so for {KEEP_FIRING}. Nobody is really told of anything."
            )
        return (
            f"Prometheus and Alertmanager do not run here: the demo evaluates {len(NAMES)} rules of many itself"
            f" ({', '.join(NAMES)}). {self.missing}. Nobody is really told of anything."
        )

    def _start_prometheus(self, port: int) -> None:
        folders = {name: self._folder / name for name in ("alertmanager", "prometheus")}
        for folder in folders.values():
            folder.mkdir()
        addresses = Addresses(
            exporter=self._exporter.removeprefix("http://"),
            alerter=self.alerter.url.removeprefix("http://"),
            prometheus=f"127.0.0.1:{free_port()}",
            alertmanager=f"127.0.0.1:{port}",
            pagerduty=self.people.pagerduty.url,
            slack=self.people.slack.hook_url,
        )
        text = alertmanager_config(folders["alertmanager"], addresses, self.people.pagerduty.routing_key)
        self.alertmanager = Alertmanager(text, folders["alertmanager"], port=port, keep=self._keep)
        text = prometheus_config(folders["prometheus"], addresses, keep_firing=KEEP_FIRING)
        own = int(addresses.prometheus.rpartition(":")[2])
        self.prometheus = Prometheus(text, folders["prometheus"], port=own, keep=self._keep)
        self._run(self.alertmanager)
        self._run(self.prometheus)

    def _run(self, server: Server) -> None:
        server.removed_with_us = None if self._keep else self._folder.parent
        self._stack.enter_context(server)


def grafana_answers(url: str) -> bool:
    """Whether a Grafana runs there."""
    try:
        with urllib.request.urlopen(f"{url}/api/health", timeout=0.5) as answer:  # noqa: S310 — this machine's
            return "database" in json.loads(answer.read(10_000))
    except (urllib.error.URLError, OSError, ValueError, http.client.HTTPException):
        return False
