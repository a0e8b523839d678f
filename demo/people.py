"""Those whom the alerter tells: stand-ins, and a configuration of the alerter that leads to them."""

import contextlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from demo.providers import Hook, PagerDuty, Slack, Twilio

_T = TypeVar("_T")

# Who is told of what, and when: as the example in the documentation has it.
_CONFIG = """\
# Written by postwatch-demo. What each setting means: docs/alerter.md
web: {{listen: "127.0.0.1:{port}"}}
log: {{level: info, format: json}}
storage: sqlite:///{folder}/alerter.db
external_url: http://127.0.0.1:{port}
receivers:
  - {{name: oncall, kind: pagerduty, url: "{pagerduty.url}", routing_key: "{pagerduty.routing_key}"}}
  - {{name: ops, kind: slack, url: "{slack.url}", token: "{slack.token}", channel: "#ops-alerts"}}
  - name: oncall-sms
    kind: sms
    url: {twilio.url}
    account_sid: {twilio.account_sid}
    auth_token: {twilio.auth_token}
    from: "+15005550006"
    to: ["{phone}"]
  - {{name: bus, kind: webhook, url: "{hook.url}", secret: "{hook.secret}"}}
routes:
  - match: ['severity="critical"']
    receivers: [oncall, ops]
    fallback: {{after: 30s, receivers: [oncall-sms]}}
    escalate: {{after: 10m, receivers: [oncall-sms]}}
  - {{match: ['severity="warning"'], receivers: [ops], repeat: 4h}}
  - {{match: ['severity="info"'], receivers: [bus]}}
default: {{receivers: [ops]}}
reconcile: {{alertmanagers: {alertmanagers}, after: 5m}}
deadman: {{match: ['alertname="Watchdog"'], every: 3m, receivers: [oncall, oncall-sms]}}
"""
PHONE = "+15005550009"


@dataclass(frozen=True)
class Line:
    """Something that somebody would have been sent; `at` in seconds since 1970."""

    at: float
    whom: str
    what: str


class People:
    """PagerDuty, Slack, a telephone and a webhook, at work inside a `with` block; all that they got is `lines`."""

    def __init__(self) -> None:
        self.pagerduty = PagerDuty()
        self.slack = Slack()
        self.twilio = Twilio()
        self.hook = Hook()
        self.lines: list[Line] = []
        self._seen: dict[str, int] = {}
        self._edits: dict[str, int] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        for one in (self.pagerduty, self.slack, self.twilio, self.hook):
            self._stack.enter_context(one)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def alerter_config(self, folder: Path, port: int, alertmanagers: Sequence[str] = ()) -> str:
        """The alerter's, which keeps its data in `folder`; `alertmanagers` are URLs."""
        return _CONFIG.format(
            port=port,
            folder=folder,
            phone=PHONE,
            pagerduty=self.pagerduty,
            slack=self.slack,
            twilio=self.twilio,
            hook=self.hook,
            alertmanagers=json.dumps(list(alertmanagers)),
        )

    def look(self, now: Callable[[], float] = time.time) -> list[Line]:
        """What came since the last look, which is added to `lines`."""
        at = now()
        fresh: list[Line] = []
        for event in self._since("pagerduty", self.pagerduty.events):
            payload = event.get("payload") or {}
            summary = payload.get("summary") or self._incident(event.get("dedup_key", ""))
            fresh.append(Line(at, "PagerDuty, on call", f"{event['event_action']}: {summary}"))
        for post in self.slack.posts:
            if self._edits.get(post.ts, -1) < post.edits:
                how = "posted" if post.ts not in self._edits else "updated"
                self._edits[post.ts] = post.edits
                fresh.append(Line(at, "Slack, #ops-alerts", f"{how}: {' '.join(post.text.split())}"))
        fresh += [Line(at, f"SMS, {sms.to}", sms.body) for sms in self._since("sms", self.twilio.sent)]
        for told in self._since("hook", self.hook.taken):
            fresh.append(Line(at, "webhook", str(told.get("title", ""))))
        self.lines += fresh
        return fresh

    def _since(self, name: str, all_of_it: list[_T]) -> list[_T]:
        found = all_of_it[self._seen.get(name, 0) :]
        self._seen[name] = self._seen.get(name, 0) + len(found)
        return found

    def _incident(self, key: str) -> str:
        """What was told when it began."""
        for incident in reversed(self.pagerduty.incidents):
            if incident.key == key:
                return incident.summary
        return "(unknown)"
