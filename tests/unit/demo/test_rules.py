"""The few rules that the demo evaluates itself, and how it tells the alerter of them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from demo.providers.exchange import Fault, Reply, Request
from demo.providers.server import StandIn
from demo.rules import NAMES, REPEAT, Teller, evaluate
from demo.scrape import Scrape, parse

QUEUE = 'source="mail",queue="email-sending",priority="high",team="delivery"'
WELL = f"""\
postwatch_queue_depth{{{QUEUE}}} 5000
postwatch_queue_depth_threshold{{{QUEUE},level="warning"}} 50
postwatch_queue_depth_threshold{{{QUEUE},level="page"}} 5000
postwatch_queue_next_expiry_timestamp_seconds{{{QUEUE}}} 1900
postwatch_workers{{source="mail",state="active"}} 1
postwatch_workers{{source="mail",state="dead"}} 2
postwatch_service_state{{target="api",kind="http",state="down"}} 0
postwatch_service_state{{target="api",kind="http",state="degraded"}} 1
postwatch_dnsbl_blocklist_info{{blocklist="bad.test",tier="critical"}} 1
postwatch_dnsbl_blocklist_info{{blocklist="mild.test",tier="warning"}} 1
postwatch_dnsbl_listed{{ip="203.0.113.12",blocklist="bad.test"}} 0
postwatch_dnsbl_listed{{ip="203.0.113.12",blocklist="mild.test"}} 1
"""
# What is different on a bad day, and the alert that says so.
TROUBLES = {
    "QueueBacklog": (f"depth{{{QUEUE}}} 5000\n", f"depth{{{QUEUE}}} 5001\n"),
    "QueueExpiryNear": ("} 1900\n", "} 1899\n"),
    "NoActiveWorkers": ('state="active"} 1\n', 'state="active"} 0\n'),
    "ServiceDown": ('state="down"} 0\n', 'state="down"} 1\n'),
    "ReputationAddressListed": ('blocklist="bad.test"} 0\n', 'blocklist="bad.test"} 1\n'),
}


def look(text: str, at: float = 1000.0) -> Scrape:
    return parse(text, at)


def troubled(*names: str) -> str:
    text = WELL
    for name in names:
        before, after = TROUBLES[name]
        assert before in text
        text = text.replace(before, after)
    return text


def test_only_the_watchdog_fires_on_a_good_day() -> None:
    assert [one.name for one in evaluate(look(WELL))] == ["Watchdog"]
    assert set(TROUBLES) == set(NAMES)


@pytest.mark.parametrize("name", TROUBLES)
def test_each_trouble_has_its_alert(name: str) -> None:
    _, fired = evaluate(look(troubled(name)))
    assert fired.name == name
    assert fired.severity == "critical"
    assert "team" not in fired.all_labels


def test_nobody_has_to_work_where_nothing_waits() -> None:
    text = troubled("NoActiveWorkers").replace(f"depth{{{QUEUE}}} 5000", f"depth{{{QUEUE}}} 0")
    assert "NoActiveWorkers" in {one.name for one in evaluate(look(text))}, "two died"
    calm = text.replace('state="dead"} 2', 'state="dead"} 0')
    assert [one.name for one in evaluate(look(calm))] == ["Watchdog"]
    wanted = calm + 'postwatch_workers_expected{source="mail"} 3\n'
    assert "NoActiveWorkers" in {one.name for one in evaluate(look(wanted))}
    unwanted = text + 'postwatch_workers_expected{source="mail"} 0\n'
    assert [one.name for one in evaluate(look(unwanted))] == ["Watchdog"]


class Desk(StandIn):
    """Takes webhooks."""

    def __init__(self) -> None:
        super().__init__()
        self.alerts: list[tuple[str, str]] = []
        self.bodies: list[dict[str, Any]] = []

    def answer(self, request: Request) -> Reply:
        self.bodies.append(json.loads(request.body))
        self.alerts += [(each["labels"]["alertname"], each["status"]) for each in self.bodies[-1]["alerts"]]
        return Reply(200)


@pytest.fixture
def desk() -> Iterator[Desk]:
    with Desk() as one:
        yield one


def test_what_begins_goes_on_and_ends_is_told(desk: Desk) -> None:
    now = 1000.0
    teller = Teller(desk.url, lambda: now)
    teller.tell(look(troubled("ServiceDown")))
    assert desk.alerts == [("Watchdog", "firing"), ("ServiceDown", "firing")]
    begun = desk.bodies[-1]["alerts"][0]
    now += 1
    teller.tell(look(troubled("ServiceDown")))
    assert len(desk.alerts) == 2
    now += REPEAT
    teller.tell(look(troubled("ServiceDown")))
    assert desk.alerts[2:] == [("Watchdog", "firing"), ("ServiceDown", "firing")]
    teller.tell(look(WELL))
    assert desk.alerts[4:] == [("ServiceDown", "resolved")]
    over = desk.bodies[-1]["alerts"][0]
    assert (over["startsAt"], over["fingerprint"]) == (begun["startsAt"], begun["fingerprint"])
    teller.tell(look(WELL))
    assert len(desk.alerts) == 5


def test_no_active_worker_is_told_when_it_lasts(desk: Desk) -> None:
    now = 1000.0
    teller = Teller(desk.url, lambda: now)
    for text in (troubled("NoActiveWorkers"), WELL, troubled("NoActiveWorkers")):
        teller.tell(look(text))
        now += 9
    teller.tell(look(troubled("NoActiveWorkers")))
    assert desk.alerts == [("Watchdog", "firing")]
    now += 1
    teller.tell(look(troubled("NoActiveWorkers")))
    assert desk.alerts[1:] == [("NoActiveWorkers", "firing")]


def test_what_was_not_taken_is_told_again(desk: Desk) -> None:
    teller = Teller(desk.url, lambda: 1000.0)
    desk.always(Fault.status(503))
    teller.tell(look(troubled("ServiceDown")))
    assert not desk.alerts
    desk.always(None)
    teller.tell(look(troubled("ServiceDown")))
    assert ("ServiceDown", "firing") in desk.alerts
    desk.stop()
    teller.tell(look(WELL))
    desk.start()
    teller.tell(look(WELL))
    assert desk.alerts[-1] == ("ServiceDown", "resolved")


def test_a_group_is_what_alertmanager_would_make_of_it(desk: Desk) -> None:
    Teller(desk.url).tell(look(troubled("QueueBacklog", "QueueExpiryNear", "ServiceDown")))
    groups = {tuple(sorted(each["labels"]["alertname"] for each in body["alerts"])) for body in desk.bodies}
    assert groups == {("Watchdog",), ("QueueBacklog", "QueueExpiryNear"), ("ServiceDown",)}
    assert len({body["groupKey"] for body in desk.bodies}) == 3
