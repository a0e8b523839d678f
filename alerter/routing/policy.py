"""What the configuration says about alerts as a whole, for those who take them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alerter.model import OWN_SOURCE, Action, Alert
from alerter.routing.matchers import Matcher, all_match
from alerter.routing.plan import Plan, Planned, Routing


@dataclass(frozen=True)
class Ability:
    """What a receiver can be told: each alert or groups of them, and which actions."""

    grouped: bool
    actions: frozenset[Action]


@dataclass(frozen=True)
class Policy:
    """One configuration's; replaced as a whole at a reload."""

    routing: Routing
    receivers: Mapping[str, Ability]
    deadman: tuple[Matcher, ...] = ()
    deadman_receivers: tuple[str, ...] = ()

    def plan(self, alert: Alert, now: float) -> Plan:
        """Who is told of `alert`, which begins at `now`."""
        if alert.source == OWN_SOURCE and alert.name == DEADMAN:
            because = "deadman.receivers"
            return Plan(tuple(Planned(name, because) for name in self.deadman_receivers), (), (because,))
        plan = self.routing.plan(alert.labels, now)
        unwell = alert.labels.get("receiver") if alert.source == OWN_SOURCE else None
        # A route that tells nobody means it.
        if unwell and (plan.told or not self.routing.decides(alert.labels)):
            return self._around(plan, unwell)
        return plan

    def is_watchdog(self, alert: Alert) -> bool:
        """Whether it is the alert that always fires."""
        return bool(self.deadman) and all_match(self.deadman, alert.labels)

    def _around(self, plan: Plan, unwell: str) -> Plan:
        """Of a receiver that is unwell, others are told: those of the route, or else all there are."""
        others = tuple(each for each in plan.told if each.receiver != unwell)
        if not others:
            because = f"of {unwell!r} it cannot be told by itself"
            others = tuple(Planned(name, because) for name in self.receivers if name != unwell)
        return Plan(others, plan.escalations, plan.because)


class Planner:
    """Plans of one moment. Alerts that no matcher can tell apart get the same one, which is made once."""

    def __init__(self, policy: Policy, now: float) -> None:
        self.policy = policy
        self._now = now
        self._labels = policy.routing.labels
        self._plans: dict[tuple[str | None, ...], Plan] = {}

    def plan(self, alert: Alert) -> Plan:
        """As `Policy.plan`."""
        if alert.source == OWN_SOURCE:
            return self.policy.plan(alert, self._now)
        looked_at = tuple(map(alert.labels.get, self._labels))
        plan = self._plans.get(looked_at)
        if plan is None:
            plan = self._plans[looked_at] = self.policy.plan(alert, self._now)
        return plan


DEADMAN = "PostwatchDeadMan"
"""The own alert that says that the watchdog stays away."""
