"""Asks the lists for the addresses: each list only after it has shown that it works, each pair in its own slot."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from chassis.clock import Clock
from chassis.log import Repeats, get_logger
from exporter.model import Reason
from exporter.reputation.agenda import Agenda, Task
from exporter.reputation.blocklists import MOST_MISSED, Blocklist, Finding, Standing, ZoneUnusable
from exporter.reputation.names import Ip, family_of, query_name
from exporter.reputation.resolvers import Resolvers, Unanswered
from exporter.reputation.schedule import MOST_TTL, next_look, retry
from exporter.reputation.verdict import Result, Rules, Verdict, judge

log = get_logger(__name__)

MOST_THREADS = 32
MOST_OPEN = 2  # questions to one list at a time
ANY_CODE = Rules()  # a test entry may have a code of its own

Pair = tuple[Ip, str]  # an address, and the name of a list


class Looker:
    """The work itself, by threads of its own. What it finds is guarded by `lock`."""

    def __init__(
        self,
        lists: Sequence[Blocklist],
        addresses: Sequence[Ip],
        resolvers: Resolvers,
        *,
        interval: float,
        timeout: float,
        rate: float,
        clock: Clock,
        changed: Callable[[Ip, Blocklist, Finding], None],
    ) -> None:
        """Seconds; `rate` is questions a second. `changed` is told of true answers, under the lock."""
        self.lists = {each.label: each for each in lists}
        self.resolvers = resolvers
        self.interval = interval
        self.lock = threading.RLock()
        self.origin = clock.monotonic()
        self.asked = threading.Event()  # something was, and was answered or given up
        self.defect = ""
        self._timeout = timeout
        self._clock = clock
        self._changed = changed
        self._repeats = Repeats(log)
        self._once = False
        self._looks = True
        self._threads: list[threading.Thread] = []
        self.findings: dict[Pair, Finding] = {
            (ip, each.label): Finding() for ip in addresses for each in lists if family_of(ip) in each.families
        }
        self._planned: set[Pair] = set()  # pairs whose look is on the agenda, or under way
        self._phases = {pair: k / len(self.findings) for k, pair in enumerate(self.findings)}
        spacings = {each.label: 1 / (each.options.queries_per_second or rate) for each in lists}
        self._agenda = Agenda(1 / rate, spacings, MOST_OPEN, clock)

    @property
    def questions(self) -> int:
        """In one interval, reasons of listings apart."""
        return len(self.findings) + 2 * sum(len(each.families) for each in self.lists.values())

    def start(self) -> None:
        """Ask from now on; returns at once. What was found before, by one that this continues, keeps its slots."""
        self._begin()
        for number in range(min(MOST_OPEN * len(self.lists), MOST_THREADS)):
            thread = threading.Thread(target=self._work, name=f"reputation-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def once(self, limit: float, *, looks: bool = True) -> None:
        """Ask everything once, within `limit` seconds; without `looks` only whether lists work."""
        self._once, self._looks = True, looks
        self.start()
        self._agenda.end_when_done(self._clock.monotonic() + limit)
        self.stop(limit + self._timeout, now=False)

    def stop(self, timeout: float, *, now: bool = True) -> None:
        """End the threads, within `timeout` seconds; `now`: whatever is left to ask."""
        if now:
            self._agenda.stop()
        until = self._clock.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(until - self._clock.monotonic(), 0.0))

    def _begin(self) -> None:
        now = self._clock.monotonic()
        for each in self.lists.values():
            for family in each.families:
                standing = each.standings[family]
                if standing.usable or not each.options.test.enabled:
                    self._release(each, family)
                if not each.options.test.enabled:
                    continue
                standing.testing = True
                self._agenda.add(Task("test", each.label, getattr(each.options.test, family).listed), now, first=True)

    def _work(self) -> None:
        while (task := self._agenda.take()) is not None:
            try:
                self._do(task)
            except Exception as error:  # a defect: told, and no end of the work
                self.defect = repr(error)
                log.exception("reputation_defect", blocklist=task.blocklist, kind=task.kind)
                if task.kind != "reason":
                    self._again(task, self._clock.monotonic() + self.interval)
            finally:
                self.asked.set()
                self._agenda.done(task)

    def _do(self, task: Task) -> None:
        blocklist = self.lists[task.blocklist]
        if task.kind == "reason":
            self._explain(task, blocklist)
            return
        rules = blocklist.rules if task.kind == "look" else ANY_CODE
        verdict, ttl = self._ask(task, blocklist, rules)
        with self.lock:
            if task.kind == "look":
                self._note(task, blocklist, verdict, ttl)
            else:
                self._judge(task, blocklist, verdict, ttl)

    def _ask(self, task: Task, blocklist: Blocklist, rules: Rules) -> tuple[Verdict, float]:
        try:
            name = query_name(task.ip, blocklist.zone())
        except ZoneUnusable as error:
            return Verdict(Result.ERROR, why=str(error)), 0.0
        try:
            response = self.resolvers.ask(name, "A", self._timeout)
        except Unanswered as error:
            timeout = error.reason is Reason.TIMEOUT
            verdict = Verdict(Result.TIMEOUT if timeout else Result.ERROR, why=f"no answer: {error.reason}")
            ttl = 0.0
        else:
            verdict, ttl = judge(response, rules), response.ttl or 0.0
        with self.lock:
            blocklist.counts[verdict.result] += 1
        return verdict, ttl

    # Whether a list works

    def _judge(self, task: Task, blocklist: Blocklist, verdict: Verdict, ttl: float) -> None:
        family = family_of(task.ip)
        standing = blocklist.standings[family]
        now = self._clock.monotonic()
        entries = getattr(blocklist.options.test, family)
        if task.kind == "test" and verdict.result is Result.LISTED:
            self._agenda.add(Task("control", blocklist.label, entries.clean), now, first=True)
            return
        standing.testing = False
        key = f"{blocklist.label} {family}"
        if task.kind == "control" and verdict.result is Result.CLEAN:
            standing.usable, standing.why, standing.failures, standing.missed = True, "", 0, 0
            self._repeats.recovered(key, "blocklist_usable", blocklist=blocklist.label, family=family)
            self._release(blocklist, family)
            due = next_look(now, ttl, self.origin, 0.0, self.interval)
        else:
            why = verdict.why
            if verdict.result is Result.CLEAN:
                why = f"it does not list its test entry {task.ip}"
            elif verdict.result is Result.LISTED:
                why = f"it lists {task.ip}, which no working list does"
            standing.usable, standing.why = False, why
            standing.failures += 1
            gone = self._agenda.withdraw(blocklist.label, "look", task.ip.version)
            self._planned.difference_update((each.ip, each.blocklist) for each in gone)
            self._repeats.failed(key, "blocklist_unusable", reason=why, blocklist=blocklist.label, family=family)
            due = now + retry(standing.failures, self.interval)
        self._again(Task("test", blocklist.label, entries.listed), due)

    def _release(self, blocklist: Blocklist, family: str) -> None:
        """Plan the looks that are not planned: all of them, where the list was not usable before."""
        if not self._looks:
            return
        now = self._clock.monotonic()
        for (ip, label), finding in self.findings.items():
            if label == blocklist.label and family_of(ip) == family and (ip, label) not in self._planned:
                self._planned.add((ip, label))
                self._agenda.add(Task("look", label, ip), now if finding.due is None else max(finding.due, now))

    # What it says

    def _note(self, task: Task, blocklist: Blocklist, verdict: Verdict, ttl: float) -> None:
        finding = self.findings[task.ip, blocklist.label]
        standing = blocklist.standings[family_of(task.ip)]
        finding.result, finding.why = verdict.result, verdict.why
        if verdict.result.true:
            standing.missed = 0
            if not blocklist.options.test.enabled:
                standing.usable, standing.why = True, ""
            finding.checked, finding.holds = self._clock.now(), min(ttl, MOST_TTL)
            self._changed_to(task, blocklist, finding, verdict)
        else:
            standing.missed += 1
            self._doubt(task, blocklist, standing, verdict)
        phase = self._phases[task.ip, blocklist.label]
        finding.due = next_look(self._clock.monotonic(), ttl, self.origin, phase, self.interval)
        if standing.usable is False and blocklist.options.test.enabled:
            self._planned.discard((task.ip, blocklist.label))  # it failed its test meanwhile; asked when it passes one
        else:
            self._again(task, finding.due)

    def _changed_to(self, task: Task, blocklist: Blocklist, finding: Finding, verdict: Verdict) -> None:
        before = finding.listed
        finding.listed, finding.codes = verdict.result is Result.LISTED, verdict.codes
        if finding.listed and finding.since is None:
            finding.since = finding.checked
        if not finding.listed:
            finding.since, finding.reason, finding.explained = None, "", ()
        about = {"ip": str(task.ip), "blocklist": blocklist.label}
        if finding.listed and not before:
            categories = sorted({blocklist.rules.category(code) for code in finding.codes})
            log.warning("address_listed", **about, codes=list(finding.codes), categories=categories)
        elif before and not finding.listed:
            log.info("address_delisted", **about)
        if finding.listed and finding.codes != finding.explained:
            self._agenda.add(Task("reason", blocklist.label, task.ip), self._clock.monotonic(), first=True)
        self._changed(task.ip, blocklist, finding)

    def _doubt(self, task: Task, blocklist: Blocklist, standing: Standing, verdict: Verdict) -> None:
        """A list that refuses, or tells nothing again and again, has to show that it works."""
        if verdict.result is not Result.BLOCKED and standing.missed < MOST_MISSED:
            return
        if not blocklist.options.test.enabled:
            standing.usable, standing.why = False, verdict.why
        elif not standing.testing and not self._once:
            standing.testing = True
            family = family_of(task.ip)
            self._agenda.withdraw(blocklist.label, "test", task.ip.version)
            entry = getattr(blocklist.options.test, family).listed
            self._agenda.add(Task("test", blocklist.label, entry), self._clock.monotonic(), first=True)

    def _explain(self, task: Task, blocklist: Blocklist) -> None:
        finding = self.findings[task.ip, blocklist.label]
        codes = finding.codes
        try:
            response = self.resolvers.ask(query_name(task.ip, blocklist.zone()), "TXT", self._timeout)
        except (Unanswered, ZoneUnusable):
            return  # asked again after the next look
        with self.lock:
            if finding.listed and response.rcode == "NOERROR":
                finding.reason, finding.explained = blocklist.reason(response.texts), codes

    def _again(self, task: Task, due: float) -> None:
        if not self._once:
            self._agenda.add(task, due)
