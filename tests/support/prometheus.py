"""Debian's Prometheus and Alertmanager on free ports, and what a test asks of them."""

import os
import signal
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from demo import prometheus as demo

Series = list[tuple[dict[str, str], float]]


class Questions:
    """What is asked of a Prometheus that runs at `url`."""

    @property
    def url(self) -> str:
        raise NotImplementedError

    def query(self, expression: str, at: float | None = None) -> Series:
        """What an instant query answers now, or at a time in seconds since 1970; a scalar is one series without labels.

        A mistake in the expression fails the test with Prometheus' own words.
        """
        parameters: dict[str, str | float] = {"query": expression} | ({} if at is None else {"time": at})
        content = self._get("query", parameters).json()
        assert content["status"] == "success", f"{expression}: {content}"
        data = content["data"]
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(each["metric"], float(each["value"][1])) for each in data["result"]]

    def value(self, expression: str) -> float | None:
        """The one value that a query answers; None if it answers nothing."""
        found = self.query(expression)
        assert len(found) <= 1, f"{expression} is not one series: {found}"
        return found[0][1] if found else None

    def firing(self, name: str, **labels: str) -> list[dict[str, str]]:
        """The labels of each alert of that name that fires."""
        return [
            found["labels"]
            for found in self._data("alerts")["alerts"]
            if found["state"] == "firing"
            and found["labels"]["alertname"] == name
            and labels.items() <= found["labels"].items()
        ]

    def targets(self) -> dict[str, str]:
        """`up`, `down` or `unknown` by job."""
        return {each["labels"]["job"]: each["health"] for each in self._data("targets")["activeTargets"]}

    def rules(self) -> list[dict[str, Any]]:
        """All rules as it has them, with `health` and `lastError`."""
        return [rule for group in self._data("rules")["groups"] for rule in group["rules"]]

    def _get(self, what: str, parameters: Mapping[str, str | float] | None = None) -> httpx.Response:
        return httpx.get(f"{self.url}/api/v1/{what}", params=parameters, timeout=30)

    def _data(self, what: str) -> Any:
        return self._get(what).raise_for_status().json()["data"]


class Running(Questions):
    """A Prometheus that somebody else has started, and that stays: one connection is enough for all questions."""

    def __init__(self, url: str, client: httpx.Client) -> None:
        self._url = url
        self._client = client

    @property
    def url(self) -> str:
        return self._url

    def _get(self, what: str, parameters: Mapping[str, str | float] | None = None) -> httpx.Response:
        return self._client.get(f"{self.url}/api/v1/{what}", params=parameters, timeout=30)


class Prometheus(demo.Prometheus, Questions):
    """`with Prometheus(text) as prometheus`: returns when it is ready; `config` is the file's content."""

    def reload(self, config: str) -> None:
        """Another configuration, taken over while it runs."""
        self.file.write_text(config)
        os.kill(self.pid, signal.SIGHUP)


class Alertmanager(demo.Alertmanager):
    """`with Alertmanager(text) as alertmanager`: returns when it is ready; `config` is the file's content."""

    def send(self, *labels: Mapping[str, str], seconds: float | None = None, over: bool = False) -> None:
        """Alerts as Prometheus tells them: they fire for `seconds` (None: `resolve_timeout`) or are `over`."""
        now = datetime.now(UTC)
        times = {} if seconds is None else {"endsAt": (now + timedelta(seconds=seconds)).isoformat()}
        if over:
            times = {"endsAt": now.isoformat()}
        alerts = [
            {"labels": dict(each), "annotations": {"summary": f"{each['alertname']} is unwell"}, **times}
            for each in labels
        ]
        httpx.post(f"{self.url}/api/v2/alerts", json=alerts, timeout=30).raise_for_status()

    def alerts(self) -> list[dict[str, Any]]:
        """What it has, the silenced among them."""
        found: list[dict[str, Any]] = self._get("alerts")
        return found

    def silence(self, seconds: float = 3600, **labels: str) -> str:
        """Silences what has these labels; answers its id."""
        now = datetime.now(UTC)
        silence = {
            "matchers": [
                {"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in labels.items()
            ],
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(seconds=seconds)).isoformat(),
            "createdBy": "test",
            "comment": "quiet, please",
        }
        answer = httpx.post(f"{self.url}/api/v2/silences", json=silence, timeout=30).raise_for_status()
        return str(answer.json()["silenceID"])

    def end_silence(self, silence: str) -> None:
        """From now on it is told again."""
        httpx.delete(f"{self.url}/api/v2/silence/{silence}", timeout=30).raise_for_status()

    def members(self) -> int:
        """How many are in its cluster, itself among them."""
        return len(self._get("status")["cluster"].get("peers", []))

    def _get(self, what: str) -> Any:
        return httpx.get(f"{self.url}/api/v2/{what}", timeout=30).raise_for_status().json()


def scraping(targets: Mapping[str, str], rules: Iterable[str] = (), interval: str = "1s") -> str:
    """A configuration of Prometheus: `targets` are addresses by job, `rules` patterns of files."""
    jobs = [
        f'  - {{job_name: {job}, static_configs: [{{targets: ["{address}"]}}]}}' for job, address in targets.items()
    ]
    files = "".join(f"  - {pattern}\n" for pattern in rules)
    return (
        f"global: {{scrape_interval: {interval}, scrape_timeout: {interval}, evaluation_interval: {interval}}}\n"
        + (f"rule_files:\n{files}" if files else "")
        + "scrape_configs:\n"
        + "\n".join(jobs)
        + "\n"
    )
