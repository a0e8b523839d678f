"""What an Alertmanager has, by its API, version 2: the one that 0.16 and later serve."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import requests

from chassis.secrets import SecretUnavailable, SecretUrl, safe_url

TIMEOUT = 10.0  # seconds to connect, and again between pieces of the answer


class Unreachable(Exception):
    """There is no answer that can be used; the text says why, without a secret."""


@dataclass(frozen=True)
class View:
    """One Alertmanager's. `started_at` in seconds since the epoch; alerts by fingerprint."""

    started_at: float
    silenced: frozenset[str]
    known: frozenset[str]  # all of them, the silenced among them


def look(url: SecretUrl) -> View:
    """Asks once. Raises Unreachable."""
    try:
        base = url.reveal().rstrip("/")
    except SecretUnavailable as error:
        raise Unreachable(str(error)) from None
    status, alerts = _get(f"{base}/api/v2/status"), _get(f"{base}/api/v2/alerts")
    try:
        started_at = datetime.fromisoformat(status["uptime"]).timestamp()
        silenced = frozenset(str(each["fingerprint"]) for each in alerts if each["status"]["silencedBy"])
        known = frozenset(str(each["fingerprint"]) for each in alerts)
    except (KeyError, TypeError, ValueError):
        raise Unreachable(f"{safe_url(base)} does not answer as an Alertmanager does") from None
    return View(started_at, silenced, known)


def _get(url: str) -> Any:
    try:
        response = requests.get(url, timeout=TIMEOUT, allow_redirects=False)
        if response.status_code != 200:
            raise Unreachable(f"{safe_url(url)} answered {response.status_code}")
        return response.json()
    except (requests.RequestException, ValueError) as error:
        raise Unreachable(f"{safe_url(url)}: {type(error).__name__}") from None
