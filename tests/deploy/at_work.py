"""Daemons as they are deployed, at work: jobs for the exporter, an alert for the alerter, and what both answer."""

from __future__ import annotations

import http.client
import json
import os
import urllib.request
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.support.alerter import alert, payload
from tests.support.databases import Database
from tests.support.jobs import add, queues

AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "-n"]


def put_jobs(database: Database, count: int) -> None:
    """So many jobs wait in one queue."""
    with database.connect() as owner:
        queues(owner, "email-sending")
        add(owner, queue_name="email-sending", status="queued", priority=100, count=count)


def tell(alerter: str, token: str) -> str:
    """One alert, as Alertmanager sends it to the address of an alerter; its answer."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return answer(f"{alerter}/webhook", data=json.dumps(payload(alert("Backlog"))).encode(), headers=headers)


def answer(url: str, **more: Any) -> str:
    """What is at a URL; not yet is an AssertionError."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, **more), timeout=5) as response:
            return str(response.read().decode())
    except (OSError, http.client.HTTPException) as error:
        raise AssertionError(f"{url}: {error}") from None


def depth(exposition: str) -> float:
    """Waiting jobs of all queues together."""
    families = text_string_to_metric_families(exposition)
    return sum(each.value for family in families for each in family.samples if each.name == "postwatch_queue_depth")
