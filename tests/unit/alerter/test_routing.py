"""Who is told."""

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.duties import itself
from alerter.model import OWN_SOURCE, Action, Severity
from alerter.routing.matchers import Matcher
from alerter.routing.options import Target
from alerter.routing.policy import Ability, Policy
from alerter.routing.quiet import QuietPeriod
from alerter.settings import AlerterSettings
from chassis.settings import parse


@pytest.mark.parametrize(
    ("text", "labels", "matches"),
    [
        ('severity="critical"', {"severity": "critical"}, True),
        ('severity="critical"', {"severity": "criticals"}, False),
        ("severity=critical", {"severity": "critical"}, True),
        ('severity!="critical"', {}, True),
        ('severity=""', {}, True),
        ('a=~"Queue.*"', {"a": "QueueDeep"}, True),
        ('a=~"Queue"', {"a": "QueueDeep"}, False),
        ('a!~"Queue.*Predicted"', {"a": "QueueBacklogPredicted"}, False),
        ('a!~"Queue.*Predicted"', {"a": "QueueBacklog"}, True),
        ('a=~"x|y"', {"a": "xy"}, False),
        ('a=~".+"', {}, False),
        (r'a="say \"hi\""', {"a": 'say "hi"'}, True),
        (r'a=~"x\\.y"', {"a": "x.y"}, True),
        (r'a=~"x\\.y"', {"a": "xzy"}, False),
        ('"label with space"="x"', {"label with space": "x"}, True),
        (' a = "b" ', {"a": "b"}, True),
        ('a=~"one.*two"', {"a": "one\ntwo"}, True),
    ],
)
def test_a_matcher(text: str, labels: dict[str, str], matches: bool) -> None:
    assert Matcher.parse(text).matches(labels) is matches
    assert Matcher.parse(str(Matcher.parse(text))) == Matcher.parse(text)


@pytest.mark.parametrize(
    "text", ["severity", 'severity=="x"', 'a="x', 'a="x",b="y"', "", 7, 'a=~"("', '1a="x"', '""="x"']
)
def test_no_matcher(text: object) -> None:
    with pytest.raises(ValueError, match=r"no matcher|regular expression|names no label"):
        Matcher.parse(text)


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=8)), st.text(min_size=1, max_size=5), st.text(max_size=8))
def test_equal_and_unequal_are_opposites(labels: dict[str, str], name: str, value: str) -> None:
    equal = Matcher(name, "=", value)
    assert equal.matches(labels) is not Matcher(name, "!=", value).matches(labels)
    assert Matcher.parse(str(equal)) == equal


NIGHTS = QuietPeriod.model_validate({"name": "n", "timezone": "Europe/Berlin", "from": "22:00", "to": "07:00"})
WEEKEND = QuietPeriod.model_validate({"name": "w", "days": "sat-sun", "from": "00:00", "to": "24:00"})
FRIDAYS = QuietPeriod.model_validate({"name": "f", "days": "fri", "from": "22:00", "to": "06:00"})


@pytest.mark.parametrize(
    ("period", "at", "quiet"),
    [
        (NIGHTS, "2026-11-22T21:59:59+01:00", False),
        (NIGHTS, "2026-11-22T22:00:00+01:00", True),
        (NIGHTS, "2026-11-23T06:59:59+01:00", True),
        (NIGHTS, "2026-11-23T07:00:00+01:00", False),
        # In summer the same hours of the wall clock are others of UTC.
        (NIGHTS, "2026-07-01T20:00:00+00:00", True),
        (NIGHTS, "2026-07-01T05:00:00+00:00", False),
        # The clocks go forward at 2:00 and back at 3:00: 7:00 is 7:00.
        (NIGHTS, "2026-03-29T04:59:00+00:00", True),
        (NIGHTS, "2026-03-29T05:00:00+00:00", False),
        (NIGHTS, "2026-10-25T05:59:00+00:00", True),
        (NIGHTS, "2026-10-25T06:00:00+00:00", False),
        (NIGHTS, "2026-10-25T00:30:00+00:00", True),
        (NIGHTS, "2026-10-25T01:30:00+00:00", True),
        (WEEKEND, "2026-11-22T23:59:59+00:00", True),
        (WEEKEND, "2026-11-23T00:00:00+00:00", False),
        # The night belongs to the day on which it begins.
        (FRIDAYS, "2026-11-21T05:59:00+00:00", True),
        (FRIDAYS, "2026-11-20T05:59:00+00:00", False),
        (FRIDAYS, "2026-11-21T22:30:00+00:00", False),
    ],
)
def test_quiet_hours(period: QuietPeriod, at: str, quiet: bool) -> None:
    assert period.holds(datetime.fromisoformat(at).timestamp()) is quiet


ROUTES = """
receivers:
  - {name: oncall, kind: webhook, url: https://a.example.com, secret: s}
  - {name: ops, kind: webhook, url: https://b.example.com, secret: s}
  - {name: sms, kind: webhook, url: https://c.example.com, secret: s}
routes:
  - match: ['team="mail"']
    receivers: [sms]
    continue: true
  - match: ['severity="critical"']
    receivers: [oncall, ops]
    fallback: {after: 30s, receivers: [sms, ops]}
    escalate: {receivers: [sms]}
  - match: ['severity="info"']
    receivers: [ops]
    quiet: [always]
  - match: ['severity="none"']
default: {receivers: [ops], repeat: 4h}
quiet_periods: [{name: always, from: "00:00", to: "24:00"}]
"""


def test_a_plan() -> None:
    routing = parse(ROUTES, AlerterSettings, {}).routing

    def told(**labels: str) -> list[str]:
        return [planned.receiver for planned in routing.plan(labels, 0.0).told]

    assert told(severity="critical") == ["oncall", "ops"]
    assert told(severity="critical", team="mail") == ["sms", "oncall", "ops"]
    assert told(severity="info") == []
    assert told(severity="info", team="mail") == ["sms"]
    assert told(severity="none") == []
    assert told(severity="else") == ["ops"]
    plan = routing.plan({"severity": "critical"}, 0.0)
    assert [(p.fallback_after, p.fallback) for p in plan.told] == [(30.0, ("sms",)), (30.0, ("sms",))]
    assert [(later.after, later.receivers) for later in plan.escalations] == [(600.0, ("sms",))]
    assert routing.plan({}, 0.0).told[0].repeat == 4 * 3600
    assert "quiet" in routing.plan({"severity": "info"}, 0.0).because[0]


def test_a_receiver_that_is_unwell_is_not_told_so_by_itself() -> None:
    settings = parse(ROUTES, AlerterSettings, {})
    everybody = {name: Ability(False, frozenset(Action)) for name in ("oncall", "ops", "sms")}
    policy = Policy(settings.routing, everybody)

    def told(receiver: str, severity: Severity = Severity.CRITICAL, source: str = OWN_SOURCE) -> list[str]:
        unwell = replace(itself.alert(itself.FAILING, severity, 0.0, receiver=receiver), source=source)
        return [planned.receiver for planned in policy.plan(unwell, 0.0).told]

    assert told("oncall") == ["ops"]
    assert told("sms") == ["oncall", "ops"]
    # Where the route has nobody else, all there are.
    assert told("ops", Severity.OTHER) == ["oncall", "sms"]
    # A route that has nobody, or is quiet now, means it; no route at all does not.
    assert told("oncall", Severity.INFO) == []
    nowhere = Policy(replace(settings.routing, routes=(), default=Target()), everybody)
    unwell = itself.alert(itself.FAILING, Severity.CRITICAL, 0.0, receiver="oncall")
    assert [planned.receiver for planned in nowhere.plan(unwell, 0.0).told] == ["ops", "sms"]
    # Somebody else's alerts may have such a label, too.
    assert told("oncall", source="default") == ["oncall", "ops"]
