"""Debian's Alertmanagers before an alerter, PagerDuty and Slack: what they send, and who is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from demo.process import free_port
from demo.providers import PagerDuty, Slack
from tests.support.alerter import TOKEN, Alerter
from tests.support.prometheus import Alertmanager
from tests.support.providers import in_channel, on_call

# Impatient, as `amtool` would say: what matters here is who is told, and how often.
CONFIG = """\
route:
  {{receiver: alerter, group_by: [alertname], group_wait: 0s, group_interval: {interval}, repeat_interval: {repeat}}}
receivers:
  - name: alerter
    webhook_configs:
      - url: http://127.0.0.1:{port}/webhook
        max_alerts: 0
        http_config: {{authorization: {{credentials: {token}}}}}
"""


class Bed:
    """Alertmanagers before an alerter before PagerDuty and Slack."""

    def __init__(self, folder: Path, stack: ExitStack, hasty: tuple[str, str] | None) -> None:
        self.port = free_port()
        self._stack = stack
        self._hasty = hasty
        self.pagerduty = stack.enter_context(PagerDuty(rate=10_000))
        self.slack = stack.enter_context(Slack(rate=100))
        self.managers: list[Alertmanager] = []
        self._given = {
            "web": {"listen": f"127.0.0.1:{self.port}"},
            "receivers": [on_call(self.pagerduty), in_channel(self.slack)],
            "default": {"receivers": ["oncall", "ops"]},
        }
        self.alerter = Alerter(folder, self._given)
        stack.callback(self.alerter.kill)

    def start(self, **reconcile: str) -> None:
        """The alerter, with a look every second at the Alertmanagers that there are by now."""
        options = reconcile or {"every": "1s", "after": "1m"}
        urls = [each.url for each in self.managers]
        self.alerter.write(self._given | {"reconcile": {"alertmanagers": urls, **options}})
        by = ("alerter",) if self._hasty is None else ("tests.support.hasty", *self._hasty)
        self.alerter.start(by=by)

    def manager(
        self, interval: str = "1s", repeat: str = "1h", gossip: int | None = None, peers: tuple[int, ...] = ()
    ) -> Alertmanager:
        """One more Alertmanager."""
        text = CONFIG.format(port=self.port, token=TOKEN, interval=interval, repeat=repeat)
        # Settled sooner than in ten seconds; the second one waits for the first for less than 15.
        options = ("--cluster.gossip-interval=50ms", "--cluster.peer-timeout=2s") if gossip else ()
        one = Alertmanager(text, gossip=gossip, peers=peers, options=options)
        self.managers.append(self._stack.enter_context(one))
        return one

    def told(self) -> list[tuple[str, str]]:
        """What PagerDuty took, in order: the action, and the alert's name."""
        return [(event["event_action"], self.names[event["dedup_key"]]) for event in self.pagerduty.events]

    @property
    def names(self) -> dict[str, str]:
        """Of alerts, by the key of their incidents."""
        return {one.key: one.events[0]["payload"]["class"] for one in self.pagerduty.incidents}

    def open(self) -> set[str]:
        """Names of alerts whose incidents are open."""
        return {self.names[key] for key in self.pagerduty.open}

    def told_of(self, name: str) -> list[str]:
        """The actions about one alert."""
        return [action for action, of in self.told() if of == name]


@contextmanager
def bed(folder: Path, hasty: tuple[str, str] | None = None) -> Iterator[Bed]:
    with ExitStack() as stack:
        yield Bed(folder, stack, hasty)


def named(name: str, **labels: str) -> dict[str, str]:
    return {"alertname": name, "severity": "critical", "service": "queues", **labels}
