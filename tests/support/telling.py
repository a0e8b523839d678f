"""Alerts and messages as the alerter's core hands them to receivers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alerter.messages.templates import Templates
from alerter.model import Action, Alert, Severity, Status, Told
from alerter.receivers.base import Message, ReceiverContext, Storm
from chassis.clock import Clock, SystemClock

NOON = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC
HOME = "https://alerts.example.com"


def alert(
    fingerprint: str = "f1",
    *,
    firing: bool = True,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    **fields: Any,
) -> Alert:
    """A critical backlog that began at NOON; when it is over, ten minutes later."""
    return Alert(
        source="default",
        fingerprint=fingerprint,
        status=Status.FIRING if firing else Status.RESOLVED,
        labels={
            "alertname": "QueueBacklogCritical",
            "severity": "critical",
            "service": "queues",
            "queue": "email-sending",
            "priority": "high",
            **(labels or {}),
        },
        annotations={
            "summary": "12,431 jobs wait in email-sending",
            "description": "It grows by 300 a minute.",
            "runbook_url": "https://runbooks.example.com/backlog",
            "dashboard_url": "https://grafana.example.com/d/queues?var=a&b=c",
            **(annotations or {}),
        },
        **{
            "starts_at": NOON,
            "ends_at": None if firing else NOON + 600,
            "generator_url": "http://prometheus:9090/graph?g0.expr=x",
            "external_url": "http://alertmanager:9093",
            "group_key": '{}:{severity="critical"}',
            **fields,
        },
    )


def message(
    action: Action = Action.TRIGGER,
    *alerts: Alert,
    delivery_id: str = "delivery-1",
    told: Mapping[str, str] | None = None,
    **fields: Any,
) -> Message:
    """A delivery of `alerts`, by default of one; `told` is what all of them have become."""
    each = alerts or (alert(firing=action is not Action.RESOLVE),)
    extra: dict[str, Any] = dict(told or {})
    return Message(
        action=action,
        alerts=tuple(Told(number, one, NOON, **extra) for number, one in enumerate(each, 1)),
        delivery_id=delivery_id,
        **{"dedup_key": each[0].key, "created_at": NOON, **fields},
    )


def storm(count: int = 500, named: int = 20) -> Message:
    """Very many alerts told as one."""
    alerts = [alert(f"f{number}", labels={"queue": f"q{number}"}) for number in range(named)]
    counted = Storm(count, Severity.CRITICAL, count, {"queues": count - 1, "redis": 1})
    return message(Action.TRIGGER, *alerts, storm=counted, dedup_key="storm-1")


def context(clock: Clock | None = None, templates: Templates | None = None) -> ReceiverContext:
    """What the core gives receivers."""
    return ReceiverContext(clock or SystemClock(), HOME, templates or Templates())
