"""What a word about an alert changes."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from alerter.intake.states import ECHO, Change, Episode, decide
from alerter.model import Alert, Status

AM0, AM1 = "http://am-0:9093", "http://am-1:9093"
NOW = 10_000.0


def firing(starts: float = 9_000.0, by: str = AM0) -> Alert:
    return Alert("default", "f", Status.FIRING, {}, {}, starts, external_url=by)


def resolved(starts: float = 9_000.0, ends: float | None = 9_500.0, by: str = AM0) -> Alert:
    return Alert("default", "f", Status.RESOLVED, {}, {}, starts, ends, external_url=by)


FIRES = Episode(Status.FIRING, 9_000.0, None, None, "", "content")
ENDED = Episode(Status.RESOLVED, 9_000.0, 9_500.0, NOW - 10, AM0, "content")
RECONCILED = replace(ENDED, ends_at=None, ended_by="reconciler")


@pytest.mark.parametrize(
    ("before", "alert", "content", "change"),
    [
        (None, firing(), "content", Change.OPENED),
        (None, resolved(), "content", Change.MISSED),
        (FIRES, firing(), "content", Change.STILL),
        (FIRES, firing(by=AM1), "content", Change.STILL),
        (FIRES, firing(), "other", Change.CHANGED),
        (FIRES, firing(starts=9_400.0), "content", Change.STILL),
        (FIRES, resolved(), "content", Change.ENDED),
        (FIRES, resolved(by=AM1), "content", Change.ENDED),
        # Two Prometheus servers found it at different moments.
        (FIRES, resolved(starts=8_990.0), "content", Change.ENDED),
        (FIRES, resolved(starts=9_010.0), "content", Change.ENDED),
        # A late peer tells the end of the episode before this one.
        (FIRES, resolved(starts=8_000.0, ends=8_500.0, by=AM1), "content", Change.ECHO),
        # Clocks are apart: the end is said to lie before the start.
        (FIRES, resolved(starts=9_000.0, ends=8_999.0), "content", Change.ENDED),
        (FIRES, resolved(starts=9_000.0, ends=None), "content", Change.ENDED),
        (ENDED, resolved(), "content", Change.ECHO),
        (ENDED, resolved(by=AM1), "content", Change.ECHO),
        (ENDED, resolved(starts=9_600.0, ends=9_700.0), "content", Change.MISSED),
        # A late peer still tells that it fires.
        (ENDED, firing(by=AM1), "content", Change.ECHO),
        (ENDED, firing(starts=9_400.0, by=AM1), "content", Change.ECHO),
        # The one that told the end tells that it fires: by resolve_timeout it had ended, and the rule's state survived.
        (ENDED, firing(by=AM0), "content", Change.OPENED),
        (ENDED, firing(starts=9_600.0, by=AM1), "content", Change.OPENED),
        (replace(ENDED, ended_at=NOW - ECHO), firing(by=AM1), "content", Change.OPENED),
        # Our clock was set back: no word is held for an echo because of it.
        (replace(ENDED, ended_at=NOW + 100), firing(by=AM1), "content", Change.OPENED),
        # The silence is over, and it fires as before.
        (RECONCILED, firing(by=AM0), "content", Change.OPENED),
        (RECONCILED, resolved(), "content", Change.ECHO),
    ],
)
def test_each_word(before: Episode | None, alert: Alert, content: str, change: Change) -> None:
    decision = decide(before, alert, content, NOW)
    assert decision.change is change
    assert decision.because


class Cluster(RuleBasedStateMachine):
    """An alert that comes and goes, told by two Alertmanagers, each in order, the second one late."""

    @initialize()
    def begin(self) -> None:
        self.now = 10_000.0
        self.episode: Episode | None = None
        self.opened = self.ended = 0
        self.true: list[Alert] = []  # what Prometheus knows, in order
        self.told = {AM0: 0, AM1: 0}

    @rule(wait=st.floats(1, 100))
    def flips(self, wait: float) -> None:
        self.now += wait
        last = self.true[-1] if self.true else None
        if last is None or last.status is Status.RESOLVED:
            self.true.append(firing(starts=self.now))
        else:
            self.true.append(resolved(starts=last.starts_at, ends=self.now))

    @rule(who=st.sampled_from([AM0, AM1]), wait=st.floats(0, 10))
    def tells(self, who: str, wait: float) -> None:
        """The next thing it has not told; or its last one again, as after an answer that was lost."""
        self.now += wait
        if self.told[who] < len(self.true):
            self.told[who] += 1
        if self.told[who]:
            self.hear(replace(self.true[self.told[who] - 1], external_url=who))

    def hear(self, alert: Alert) -> None:
        change = decide(self.episode, alert, "content", self.now).change
        match change:
            case Change.OPENED:
                assert alert.status is Status.FIRING
                self.opened += 1
                self.episode = Episode(Status.FIRING, alert.starts_at, None, None, "", "content")
            case Change.MISSED:
                self.episode = Episode(
                    Status.RESOLVED, alert.starts_at, alert.ends_at, self.now, alert.external_url, "content"
                )
            case Change.ENDED:
                assert self.episode is not None
                self.ended += 1
                self.episode = replace(
                    self.episode,
                    status=Status.RESOLVED,
                    ends_at=alert.ends_at,
                    ended_at=self.now,
                    ended_by=alert.external_url,
                )

    @rule()
    def all_is_told(self) -> None:
        """Once both have told all, what is believed is true."""
        for who, position in self.told.items():
            for alert in self.true[position:]:
                self.hear(replace(alert, external_url=who))
            self.told[who] = len(self.true)
        if self.true:
            assert self.episode is not None
            assert self.episode.status is self.true[-1].status

    @invariant()
    def no_incident_is_opened_twice(self) -> None:
        fires = self.episode is not None and self.episode.status is Status.FIRING if hasattr(self, "opened") else False
        if hasattr(self, "opened"):
            assert self.opened - self.ended == int(fires)


TestCluster = Cluster.TestCase
TestCluster.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
