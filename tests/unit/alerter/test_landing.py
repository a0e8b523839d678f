"""The page at `/`: what is wrong stands first, in words; data is data."""

import re
from types import SimpleNamespace
from typing import Any

import pytest

from alerter.delivery.circuit import State
from alerter.outbox.overview import Backlog
from alerter.web.landing import MOST, Picture, Post, page

NOW = 1_790_000_000.0
WELL = Post("oncall", "pagerduty", State.OK, "")


def picture(*posts: Post, **more: Any) -> Picture:
    given: dict[str, Any] = {"backlog": {}, "last": (), "dead": (), "firing": (), **more}
    return Picture("1.2.3", NOW, 7200.0, posts or (WELL,), **given)


def alert(number: int, severity: str = "critical", **more: Any) -> Any:
    given = {"service": "queues", "message": f"alert {number}", "acknowledged_by": "", "annotations": "{}", **more}
    return SimpleNamespace(id=number, severity=severity, starts_at=NOW - 600, **given)


def delivery(**more: Any) -> Any:
    given: dict[str, Any] = {"receiver": "oncall", "action": "trigger", "marks": "", "state": "accepted", "attempts": 1}
    given |= {"created_at": NOW - 9, "finished_at": NOW - 8, "message": "m", "error": "", **more}
    return SimpleNamespace(id=7, **given)


def troubles(shown: Picture) -> list[str]:
    return [re.sub("<.*?>", "", each) for each in re.findall(r"<li.*?</span>", page(shown))]


def test_nothing_is_wrong() -> None:
    text = page(picture(watchdog_every=180.0, watchdog_at=NOW - 30))
    assert "all is well: 1 receiver, none in trouble" in text
    assert "<title>all is well: Postwatch alerter</title>" in text
    assert "Nothing fires." in text
    assert "2026-09-21 14:13:20 UTC · up for 2h" in text
    assert "<script" not in text


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        (picture(Post("ops", "slack", State.OPEN, "slack.com answered 503", NOW - 300)),
         ["ops cannot be reached, for 5m: slack.com answered 503"]),
        (picture(Post("ops", "slack", State.OPEN, "invalid_auth", NOW - 300, refuses=True)),
         ["ops refuses us until somebody acts, for 5m: invalid_auth"]),
        (picture(Post("ops", "slack", State.THROTTLED, "")), []),
        (picture(watchdog_every=180.0, watchdog_at=NOW - 600),
         ["no watchdog for 10m: look at Prometheus and Alertmanager"]),
        (picture(watchdog_every=180.0), ["no watchdog has ever arrived: look at Prometheus and Alertmanager"]),
        (picture(watchdog_every=86_400.0), []),
        (picture(deaf="storage: the disk is full"), ["webhooks are answered 503: storage: the disk is full"]),
        (picture(backlog={"oncall": Backlog(3, NOW - 90, 0)}), ["oncall is late: the oldest waits for 90s"]),
        (picture(backlog={"oncall": Backlog(3, NOW - 30, 0)}), []),
        (picture(backlog={"former": Backlog(3, NOW - 30, 0)}),
         ["3 wait for former: no receiver has this name any more"]),
        (picture(refused=True), ["the configuration file was refused, the earlier one is in use: the log names its "
                                 "mistakes, and so does postwatch-alerter check"]),
    ],
)  # fmt: skip
def test_what_is_wrong_stands_above_all(shown: Picture, told: list[str]) -> None:
    assert troubles(shown) == told


def test_the_worst_comes_first_and_is_counted_in_the_title() -> None:
    shown = picture(
        WELL,
        Post("ops", "slack", State.OPEN, "down", NOW - 300),
        backlog={"oncall": Backlog(1, NOW - 90, 2), "ops": Backlog(0, None, 3)},
        refused=True,
    )
    assert [each.split(":")[0] for each in troubles(shown)] == [
        "ops cannot be reached, for 5m",
        "oncall is late",
        "5 dead letters",
        "the configuration file was refused, the earlier one is in use",
    ]
    assert "<title>4 to see to: Postwatch alerter</title>" in page(shown)


def test_alerts_stand_by_severity_then_the_latest() -> None:
    text = page(picture(firing=(alert(4, "warning"), alert(3), alert(2, "other"), alert(1))))
    assert re.findall(r"alert (\d)", text) == ["3", "1", "4", "2"]
    assert "Firing: 4" in text


def test_more_than_are_shown_are_said() -> None:
    text = page(picture(firing=tuple(alert(number) for number in range(MOST + 1))))
    assert f"Firing: more than {MOST}" in text
    assert len(re.findall(r"alert \d+<", text)) == MOST


def test_what_an_alert_says_is_data_and_its_links_are_followed_only_if_they_lead_to_the_web() -> None:
    notes = '{"runbook_url": "https://r.example.com/?a=1&b=2", "dashboard_url": "javascript:alert(1)"}'
    nasty = alert(1, message="<script>alert(1)</script>", service='"><b>', acknowledged_by="<i>", annotations=notes)
    text = page(picture(firing=(nasty,), last=(delivery(error="<u>", marks="fallback,escalation"),)))
    assert "<script" not in text
    assert "<b>" not in text
    assert "<i>" not in text
    assert "<u>" not in text
    assert 'href="https://r.example.com/?a=1&amp;b=2"' in text
    assert "javascript" not in text
    assert "trigger (fallback) (escalation)" in text


def test_a_page_runs_as_its_own_words_do_whatever_an_alert_says() -> None:
    text = page(picture(firing=(alert(1, message="\u202ebacklog\x1b[2J", service="\u2066q"),)))
    assert not set(text) & {"\u202e", "\u2066", "\x1b"}
    assert "backlog" in text
