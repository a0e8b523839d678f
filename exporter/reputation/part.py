"""Reputation at work: what is known of each address, published as it becomes known."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

from chassis.exposition import Reading
from chassis.log import Repeats, get_logger
from exporter.model import Reason, Remark, SampleFailed
from exporter.parts import Part, PartContext, Table
from exporter.reputation import remarks, tables
from exporter.reputation.blocklists import Blocklist, Finding
from exporter.reputation.knowledge import Knowledge
from exporter.reputation.looker import Looker
from exporter.reputation.names import FAMILIES, Ip, family_of
from exporter.reputation.options import ReputationOptions
from exporter.reputation.resolvers import Resolvers
from exporter.reputation.schedule import stretched
from exporter.reputation.sent import SentToday
from exporter.reputation.state import Memory
from exporter.sampling.sampler import Run, Sampler

log = get_logger(__name__)

NAME = "reputation"
PUBLISHED = 1.0  # seconds between looks at what is new
ACCOUNT = 15.0  # seconds between accounts of the work


class Reputation:
    """The part `reputation`."""

    name = NAME

    def __init__(self, options: ReputationOptions, context: PartContext) -> None:
        self.options = options
        self.context = context
        self.timeout = options.timeout or context.timeout
        self.stale_after = options.stale_after or context.stale_after
        addresses = [each.ip for each in options.addresses]
        families = tuple(family for family in FAMILIES if any(family_of(ip) == family for ip in addresses))
        lists = [Blocklist(each, families) for each in options.blocklists]
        pairs = sum(family_of(ip) in each.families for ip in addresses for each in lists)
        questions = pairs + 2 * sum(len(each.families) for each in lists)
        self.interval = stretched(questions, options.queries_per_second, options.interval)
        self.resolvers = Resolvers(options.resolvers, context.clock)
        self.looker = Looker(
            lists,
            addresses,
            self.resolvers,
            interval=self.interval,
            timeout=self.timeout,
            rate=options.queries_per_second,
            clock=context.clock,
            changed=self._changed,
        )
        # A look at everything, as many reasons included; where lists are slow, not all of it is done within that.
        self.whole = 2 * questions / options.queries_per_second + 10 * self.timeout
        lifetime = max(self.stale_after, 3 * self.interval + self.timeout)
        self.knowledge = Knowledge(options, context, lists, self.looker.findings, lifetime)
        self.query: SentToday | None = None
        self.account = ""
        if given := options.sent_today:
            database, self.account = context.database(given.postgres, None)
            limit = given.timeout or context.timeout
            self.query = SentToday(database, given.query, given.interval, limit, context.clock)
        self._repeats = Repeats(log)
        self._new: set[Ip] = set()  # addresses of which something new is known
        self._asked = -1
        self._scores: dict[Ip, float | None] = {}
        self._scores_at = 0.0
        self._memory = Memory(options.state_file, context.clock)
        self._keeper: threading.Thread | None = None
        self._stopping = threading.Event()

    @property
    def started(self) -> bool:
        """Whether it works by itself."""
        return self._keeper is not None

    def samplers(self) -> list[Sampler]:
        """The one that accounts for the work."""
        return [ReputationSampler(self)]

    def start(self) -> None:
        """Ask from now on."""
        self._new.update(self.knowledge.addresses)
        if self.interval > self.options.interval:
            log.warning("interval_stretched", **remarks.stretching(self.options, self.interval))
        for server, operator in remarks.public(self.resolvers.servers):
            log.warning("public_resolver", resolver=str(server), operator=operator, advice=remarks.PUBLIC_ADVICE)
        self.looker.start()
        self._keeper = threading.Thread(target=self._keep, name="reputation", daemon=True)
        self._keeper.start()

    def stop(self, timeout: float) -> None:
        """End the threads; what is known is saved."""
        self._stopping.set()
        self.looker.stop(timeout / 2)
        if self._keeper is not None:
            self._keeper.join(timeout / 2)

    def continue_from(self, before: Part) -> None:
        """Keep what is known of pairs that stay, and their slots."""
        if not isinstance(before, Reputation):
            return
        known = {each.label: each for each in before.knowledge.lists}
        same = {each.label for each in self.knowledge.lists if each.label in known}
        for each in self.knowledge.lists:
            if each.label in same:
                each.continue_from(known[each.label])
                if each.options.zone != known[each.label].options.zone:
                    same.discard(each.label)
        for pair in self.looker.findings:
            if pair[1] in same and pair in before.looker.findings:
                # A copy: a question that was under way may still be answered to the one before.
                self.looker.findings[pair] = replace(before.looker.findings[pair])
        self.looker.origin = before.looker.origin
        self._memory.continue_from(before._memory)
        if self.query is not None:
            self.knowledge.sent = before.knowledge.sent
        for ip in before.knowledge.addresses.keys() - self.knowledge.addresses.keys():
            self.context.board.withdraw(f"{NAME}: {ip} ")

    def settings(self) -> Iterator[Reading]:
        """The lists and their tiers."""
        return self.knowledge.settings()

    def table(self) -> Table:
        """Addresses by their listings, then lists that cannot be believed."""
        with self.looker.lock:
            return tables.overview(self.knowledge)

    def check(self, run: Run) -> list[Remark]:
        """Whether lists and resolvers work, as far as that shows now."""
        found = remarks.of_lists(self.options, self.looker, self.timeout, run)
        try:
            self.count_sent(run)
        except SampleFailed as error:
            found.append(Remark("sent_today", error.message, error.advice, fatal=True))
        if (sent := self.knowledge.sent).bad_rows:
            found.append(Remark("sent_today", f"{sent.bad_rows} rows make no sense: {sent.example}"))
        return found

    def look(self, run: Run) -> None:
        """Ask everything once, as long as `run` lasts."""
        self.looker.once(max(run.left - self.timeout, 1.0))
        self._new.update(self.knowledge.addresses)
        self.publish()

    def publish(self) -> None:
        """What is new since the last time; scores also as listings grow older and answers stale."""
        now = self.context.clock.monotonic()
        with self.looker.lock:
            asked = sum(sum(each.counts.values()) for each in self.knowledge.lists)
            if not self._new and asked == self._asked and now < self._scores_at:
                return
            fresh, self._new, self._asked = self._new, set(), asked
            if now >= self._scores_at:
                self._scores_at = now + ACCOUNT
                self._scores = {ip: self.knowledge.score(ip) for ip in self.knowledge.addresses}
            else:
                self._scores |= {ip: self.knowledge.score(ip) for ip in fresh}
            verdicts = {ip: list(self.knowledge.verdicts(ip)) for ip in fresh}
            lists = list(self.knowledge.standings())
        board = self.context.board
        for ip, readings in verdicts.items():
            board.publish(f"{NAME}: {ip} verdicts", readings)
        board.publish(f"{NAME}: lists", lists)
        board.publish(f"{NAME}: scores", self.knowledge.scores(self._scores))

    def count_sent(self, run: Run) -> None:
        """Run the query of `sent_today`, if it is time. Raises SampleFailed."""
        if self.query is None or self.query.due_in():
            return
        self.knowledge.sent = sent = self.query.look(run, {str(ip) for ip in self.knowledge.addresses})
        if sent.bad_rows:
            advice = "each row is to be: ip, count"
            self._repeats.failed(
                "sent", "sent_today_rows_unreadable", reason=sent.example, rows=sent.bad_rows, advice=advice
            )
        else:
            self._repeats.recovered("sent", "sent_today_rows_readable")
        if not self._stopping.is_set():
            lifetime = 3 * self.query.interval + self.timeout
            self.context.board.publish(f"{NAME}: sent", self.knowledge.sendings(), max(self.stale_after, lifetime))

    def _keep(self) -> None:
        while not self._stopping.wait(PUBLISHED):
            self.publish()
            self._save()
        self.publish()
        self._save(last=True)

    def _changed(self, ip: Ip, blocklist: Blocklist, finding: Finding) -> None:
        if finding.listed:
            finding.since = self._memory.listed(str(ip), blocklist.label, finding.since)
        else:
            self._memory.clean(str(ip), blocklist.label)
        self._new.add(ip)

    def _save(self, *, last: bool = False) -> None:
        if not self._memory.due(last=last):
            return
        lists = {each.label for each in self.knowledge.lists}
        with self.looker.lock:
            known = self._memory.copy({str(ip) for ip in self.knowledge.addresses}, lists)
        self._memory.save(known)


class ReputationSampler:
    """Looks at everything once if nothing has been started; else accounts for what goes on by itself."""

    kind = NAME
    source = ""

    def __init__(self, part: Reputation) -> None:
        self._part = part
        self.interval = part.interval
        self.timeout = max(part.whole + (part.query is not None) * 2 * part.timeout, part.timeout)
        self.stale_after = part.stale_after
        self.account = part.account
        self.labels = part.context.labels

    def sample(self, run: Run) -> None:
        """Raises SampleFailed where no resolver answers, or the query of `sent_today` fails."""
        part = self._part
        if not part.started:
            part.look(run)
        elif part.looker.findings:
            part.looker.asked.wait(min(2 * part.timeout, run.left))
        sent_in = part.query.interval if part.query is not None else ACCOUNT
        run.again_in = min(self.interval, ACCOUNT, sent_in)
        failure: SampleFailed | None = None
        try:
            part.count_sent(run)
        except SampleFailed as error:
            failure = error
        self._account()
        if failure is not None:
            raise failure

    def _account(self) -> None:
        part = self._part
        if part.looker.defect:
            defect, part.looker.defect = part.looker.defect, ""
            raise SampleFailed(Reason.INTERNAL, f"defect: {defect}", "please report it")
        if not part.looker.findings:
            return
        servers = part.resolvers.servers
        if not servers:
            raise SampleFailed(Reason.RESOLVE, "the system has no resolver", "name one under `resolvers`")
        # A silent list is no silent resolver: that one is asked for what it knows by itself.
        if part.resolvers.unanswered and not part.resolvers.alive(part.timeout):
            named = ", ".join(map(str, servers))
            raise SampleFailed(Reason.TIMEOUT, f"no resolver answers: {named}", "check `resolvers`", about=named)
