"""Asks a Prometheus all that the dashboards ask, as Grafana would, and writes the answers for the page that draws them.

`python -m deploy.grafana.render.record http://127.0.0.1:9090 recorded.json`
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

DASHBOARDS = Path(__file__).parents[1] / "dashboards"
# Of variables that admit one value only; all others show everything.
CHOSEN = {"source": "mail", "queue": "email-sending"}
STEP = 5  # seconds: as Postwatch is scraped, and what Grafana does not go below
WINDOWS = {"__rate_interval": f"{4 * STEP}s"}


class Recorder:
    """Answers for the last `minutes`."""

    def __init__(self, url: str, minutes: float) -> None:
        self._url = url.rstrip("/")
        self._end = int(time.time())
        self._start = self._end - round(60 * minutes)
        self._asked = requests.Session()

    def board(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The dashboard with the answers to its queries by panel and query, and the alerts to mark."""
        chosen = {
            variable["name"]: ".*" if variable["includeAll"] else CHOSEN[variable["name"]]
            for variable in body["templating"]["list"]
            if variable["type"] == "query"
        }
        panels = [panel for panel in body["panels"] if panel["type"] != "row"]
        (marks,) = body["annotations"]["list"]
        return {
            "dashboard": body,
            "range": (self._start, self._end),
            "chosen": chosen,
            "answers": {
                panel["id"]: {target["refId"]: self._ask(target, chosen) for target in panel["targets"]}
                for panel in panels
            },
            "marks": self._ask({"expr": marks["expr"]}, chosen),
        }

    def _ask(self, target: Mapping[str, Any], chosen: Mapping[str, str]) -> Any:
        windows = {**WINDOWS, "__range": f"{self._end - self._start}s"}
        query = re.sub(r"\$(\w+)", lambda match: {**windows, **chosen}[match[1]], target["expr"])
        if target.get("instant"):
            return self._get("query", query=query, time=self._end)
        return self._get("query_range", query=query, start=self._start, end=self._end, step=STEP)

    def _get(self, what: str, **parameters: Any) -> Any:
        answer = self._asked.post(f"{self._url}/api/v1/{what}", data=parameters, timeout=30)
        said = answer.json()
        if said["status"] != "success":
            raise SystemExit(f"{parameters['query']}\n{said['error']}")
        return said["data"]["result"]


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prometheus", help="its URL")
    parser.add_argument("file", type=Path, help="what to write")
    parser.add_argument("--minutes", type=float, default=15, help="how far back (15)")
    given = parser.parse_args()
    recorder = Recorder(given.prometheus, given.minutes)
    boards = {path.stem: recorder.board(json.loads(path.read_text())) for path in sorted(DASHBOARDS.glob("*.json"))}
    given.file.write_text(json.dumps({"boards": boards}))


if __name__ == "__main__":
    main()
