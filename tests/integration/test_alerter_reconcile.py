"""When the reconciler closes what no Alertmanager tells any more, and when it must not: time is the test's."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from alerter.duties.crew import Duties
from alerter.duties.reconcile import YOUNG
from alerter.model import Alert
from alerter.tally import Tally
from chassis.settings import SettingsError
from demo.providers import Fault
from demo.providers.exchange import Reply, Request
from demo.providers.server import StandIn
from tests.support import booked
from tests.support.booked import SETTINGS, World, firing, over, settings_of

AFTER = 300.0  # seconds, as by default


class Manager(StandIn):
    """An Alertmanager, as far as it is asked."""

    def __init__(self, started_at: float) -> None:
        super().__init__()
        self.started_at = started_at
        self.alerts: dict[str, bool] = {}  # by fingerprint: whether it is silenced

    def answer(self, request: Request) -> Reply:
        if request.path == "/api/v2/status":
            return Reply(200, {"uptime": datetime.fromtimestamp(self.started_at, UTC).isoformat()})
        silences = {True: ["one"], False: []}
        return Reply(
            200, [{"fingerprint": each, "status": {"silencedBy": silences[how]}} for each, how in self.alerts.items()]
        )


@pytest.mark.parametrize("address", ["am:9093", "ftp://am:9093", "http://", "https://u:hidden@[am"])
def test_what_is_no_address_of_an_alertmanager(address: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_of(f"{SETTINGS}\nreconcile: {{alertmanagers: ['http://127.0.0.1:9093', '{address}']}}")
    (mistake,) = caught.value.mistakes
    assert mistake.path == "reconcile.alertmanagers"
    assert mistake.message.startswith("[1] is no URL")
    assert "hidden" not in str(caught.value)


class Bed:
    """Two Alertmanagers, an alerter's duties, and its store."""

    def __init__(self, world: World, stack: ExitStack) -> None:
        self.world = world
        born = world.clock.now() - YOUNG - 1
        self.managers = [stack.enter_context(Manager(born)) for _ in range(2)]
        urls = ", ".join(each.url for each in self.managers)
        settings = settings_of(f"{SETTINGS}\nreconcile: {{alertmanagers: [{urls}]}}")
        self.tally = Tally()
        self.duties = Duties(world.store, world.clock, settings, world.policy, self, self.tally)

    def failing(self, after: float) -> dict[str, tuple[str, bool]]:
        return {}

    def wake(self, receivers: set[str]) -> None:
        pass

    def hear(self, *alerts: Alert) -> None:
        """They fire, here and in both Alertmanagers, and who is to be told of them has been."""
        self.world.hear(*alerts)
        for manager in self.managers:
            manager.alerts |= {alert.fingerprint: False for alert in alerts}
        for receiver in ("oncall", "ops"):
            self.world.deliver(receiver)

    def forget(self, alert: Alert) -> None:
        """Neither Alertmanager has it any more."""
        for manager in self.managers:
            manager.alerts.pop(alert.fingerprint, None)

    def look(self, seconds: float = 0.0) -> int:
        """So much later it looks; answers how many it has closed by now."""
        self.world.clock.advance(seconds)
        self.duties.reconcile()
        return self.duties.figures.reconciled


@pytest.fixture
def bed(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bed]:
    with booked.world("sqlite", request, tmp_path) as world, ExitStack() as stack:
        yield Bed(world, stack)


def test_what_is_gone_for_long_enough_is_closed(bed: Bed) -> None:
    gone, lasts = firing("gone"), firing("lasts")
    bed.hear(gone, lasts)
    bed.forget(gone)
    assert [bed.look(), bed.look(AFTER - 1), bed.look(1)] == [0, 0, 1]
    assert bed.world.deliver("oncall") == [("resolve", "gone")]
    assert bed.duties.figures.reconciled_at == bed.world.clock.now()


def test_what_comes_back_is_gone_anew(bed: Bed) -> None:
    gone = firing("gone")
    bed.hear(gone)
    bed.forget(gone)
    bed.look()
    bed.managers[1].alerts["gone"] = False
    assert bed.look(AFTER - 1) == 0
    bed.forget(gone)
    assert [bed.look(1), bed.look(AFTER - 1), bed.look(1)] == [0, 0, 1]


def test_silenced_counts_where_all_that_have_it_say_so(bed: Bed) -> None:
    bed.hear(firing("quiet"))
    bed.managers[0].alerts["quiet"] = True
    assert [bed.look(), bed.look(AFTER)] == [0, 0]
    bed.managers[1].alerts["quiet"] = True
    assert [bed.look(), bed.look(AFTER)] == [0, 1]


def test_of_other_sources_nothing_is_known(bed: Bed) -> None:
    elsewhere = replace(firing("gone"), source="other")
    bed.hear(elsewhere)
    bed.forget(elsewhere)
    assert [bed.look(), bed.look(AFTER)] == [0, 0]


@pytest.mark.parametrize(
    "name",
    ["PostwatchDeadMan", "PostwatchExporterDown", "PostwatchExporterAbsent", "PostwatchSamplerStale", "ExporterDown"],
)
def test_what_cannot_be_seen_is_not_over(bed: Bed, name: str) -> None:
    gone, blind = firing("gone"), firing(name)
    bed.hear(gone)
    bed.forget(gone)
    bed.look()
    bed.hear(blind)
    assert [bed.look(AFTER), bed.look(AFTER)] == [0, 0]
    # And what was missing meanwhile begins to count with the first look that sees.
    bed.world.hear(over(blind))
    assert [bed.look(), bed.look(AFTER - 1), bed.look(1)] == [0, 0, 1]


def test_one_that_has_just_started_may_not_know_yet(bed: Bed) -> None:
    gone = firing("gone")
    bed.hear(gone)
    bed.forget(gone)
    bed.look()
    bed.managers[1].started_at = bed.world.clock.now()
    assert [bed.look(YOUNG - 1), bed.look(1), bed.look(AFTER - 1), bed.look(1)] == [0, 0, 0, 1]


@pytest.mark.parametrize("how", ["away", "another"])
def test_one_that_cannot_be_asked_may_have_it(bed: Bed, how: str) -> None:
    gone = firing("gone")
    bed.hear(gone)
    bed.forget(gone)
    bed.look()
    if how == "away":
        bed.managers[1].stop()
    else:
        bed.managers[1].always(Fault.status(200, {"no": "Alertmanager"}))
    seen = bed.duties.figures.reconciled_at
    assert [bed.look(AFTER), bed.look(AFTER)] == [0, 0]
    assert bed.duties.figures.reconciled_at == seen
    if how == "away":
        bed.managers[1].start()
    else:
        bed.managers[1].always(None)
    assert [bed.look(), bed.look(AFTER - 1), bed.look(1)] == [0, 0, 1]


def test_what_is_spared_is_counted(bed: Bed) -> None:
    waits = firing("waits", "warning")
    bed.world.hear(waits)
    assert [bed.look(), bed.look(AFTER)] == [0, 1]
    assert bed.world.states() == [("ops", "trigger", "superseded"), ("ops", "resolve", "superseded")]
    words = {"receiver": "ops", "outcome": "superseded"}
    assert [each.value for each in bed.tally.readings(["ops"]) if words.items() <= each.labels.items()] == [2]
