"""What those who would be told got, as lines for a person."""

from pathlib import Path

import yaml

from alerter.settings import read
from demo.people import Line, People
from demo.providers.pagerduty import Incident
from demo.providers.slack import Posted
from demo.providers.twilio import Sms


def test_each_thing_is_told_once_and_with_its_words() -> None:
    people = People()
    assert people.look() == []
    people.pagerduty.events.append({"event_action": "trigger", "dedup_key": "k", "payload": {"summary": "it is bad"}})
    people.pagerduty.incidents.append(Incident("k", "triggered", "it is bad", "critical"))
    people.slack.posts.append(Posted("C1", "1", "it is\nbad", []))
    people.twilio.sent.append(Sms("+1", "+2", "bad"))
    people.hook.taken.append({"title": "INFO: it is"})
    assert people.look(lambda: 5.0) == [
        Line(5.0, "PagerDuty, on call", "trigger: it is bad"),
        Line(5.0, "Slack, #ops-alerts", "posted: it is bad"),
        Line(5.0, "SMS, +1", "bad"),
        Line(5.0, "webhook", "INFO: it is"),
    ]
    assert people.look() == []
    people.pagerduty.events.append({"event_action": "resolve", "dedup_key": "k"})
    people.slack.posts[0].text, people.slack.posts[0].edits = "it was bad", 1
    assert [line.what for line in people.look()] == ["resolve: it is bad", "updated: it was bad"]
    assert len(people.lines) == 6


def test_the_alerter_takes_the_configuration_and_tells_by_the_nearest_ways(tmp_path: Path) -> None:
    with People() as people:
        text = people.alerter_config(tmp_path, 9798, ["http://127.0.0.1:9093"])
    file = tmp_path / "alerter.yml"
    file.write_text(text)
    assert len(read(file, {}).receivers) == 4  # and raises if something is wrong
    given = yaml.safe_load(text)
    assert {each["url"] for each in given["receivers"]} == {
        one.url for one in (people.pagerduty, people.slack, people.twilio, people.hook)
    }
    assert given["reconcile"]["alertmanagers"] == ["http://127.0.0.1:9093"]
