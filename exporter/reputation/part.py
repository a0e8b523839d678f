"""Reputation at work: what is known of each address, published as it becomes known."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

from chassis.exposition import Reading
from chassis.log import Repeats, get_logger
from exporter.model import Reason, Remark, SampleFailed
from exporter.parts import Part, PartContext, Table
from exporter.reputation import remarks, state, tables
from exporter.reputation.blocklists import Blocklist, Finding
from exporter.reputation.looker import Looker
from exporter.reputation.names import FAMILIES, Ip, family_of
from exporter.reputation.options import AddressOptions, ReputationOptions
from exporter.reputation.resolvers import Resolvers
from exporter.reputation.schedule import stretched
from exporter.reputation.score import Rule, score
from exporter.reputation.sent import Sent, SentToday
from exporter.sampling.sampler import Run, Sampler

log = get_logger(__name__)

NAME = "reputation"
PUBLISHED = 1.0  # seconds between looks at what is new
ACCOUNT = 15.0  # seconds between accounts of the work
SAVE_AGAIN = 60.0  # seconds until a state file that could not be written is tried again


class Reputation:
    """The part `reputation`."""

    name = NAME

    def __init__(self, options: ReputationOptions, context: PartContext) -> None:
        self.options = options
        self.context = context
        self.timeout = options.timeout or context.timeout
        self.addresses: dict[Ip, AddressOptions] = {each.ip: each for each in options.addresses}
        families = tuple(family for family in FAMILIES if any(family_of(ip) == family for ip in self.addresses))
        self.lists = [Blocklist(each, families) for each in options.blocklists]
        pairs = sum(family_of(ip) in each.families for ip in self.addresses for each in self.lists)
        questions = pairs + 2 * sum(len(each.families) for each in self.lists)
        self.interval = stretched(questions, options.queries_per_second, options.interval)
        self.resolvers = Resolvers(options.resolvers, context.clock)
        self.looker = Looker(
            self.lists,
            list(self.addresses),
            self.resolvers,
            interval=self.interval,
            timeout=self.timeout,
            rate=options.queries_per_second,
            clock=context.clock,
            changed=self._changed,
        )
        # A look at everything, as many reasons included; where lists are slow, not all of it is done within that.
        self.whole = 2 * questions / options.queries_per_second + 10 * self.timeout
        self.rule = Rule(options.score.ageing, options.score.full_after)
        self.sent = Sent()
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
        self._since: state.Since = {}
        self._unsaved = False
        self._save_at = 0.0
        self._keeper: threading.Thread | None = None
        self._stopping = threading.Event()
        self._load()

    @property
    def started(self) -> bool:
        """Whether it works by itself."""
        return self._keeper is not None

    def samplers(self) -> list[Sampler]:
        """The one that accounts for the work."""
        return [ReputationSampler(self)]

    def start(self) -> None:
        """Ask from now on."""
        self._new.update(self.addresses)
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
        known = {each.label: each for each in before.lists}
        same = {each.label for each in self.lists if each.label in known}
        for each in self.lists:
            if each.label in same:
                each.continue_from(known[each.label])
                if each.options.zone != known[each.label].options.zone:
                    same.discard(each.label)
        for pair in self.looker.findings:
            if pair[1] in same and pair in before.looker.findings:
                # A copy: a question that was under way may still be answered to the one before.
                self.looker.findings[pair] = replace(before.looker.findings[pair])
        self.looker.origin = before.looker.origin
        self._since |= before._since
        self._unsaved = True
        if self.query is not None:
            self.sent = before.sent
        for ip in before.addresses.keys() - self.addresses.keys():
            self.context.board.withdraw(f"{NAME}: {ip} ")

    def settings(self) -> Iterator[Reading]:
        """The lists and their tiers."""
        for each in self.lists:
            labels = {**self.context.labels, "blocklist": each.label, "tier": each.tier}
            yield Reading("postwatch_dnsbl_blocklist_info", labels, 1)

    def table(self) -> Table:
        """Addresses by their listings, then lists that cannot be believed."""
        with self.looker.lock:
            return tables.overview(self)

    def check(self, run: Run) -> list[Remark]:
        """Whether lists and resolvers work, as far as that shows now."""
        return remarks.remarks(self, run)

    def listings(self, ip: Ip) -> Iterator[tuple[Blocklist, Finding]]:
        """What each list says of an address."""
        for each in self.lists:
            if finding := self.looker.findings.get((ip, each.label)):
                yield each, finding

    def score(self, ip: Ip) -> float | None:
        """0 to 100; None while no list has told anything lately."""
        now = self.context.clock.now()
        stale = self.options.stale_after or self.context.stale_after
        lifetime = max(stale, 3 * self.interval + self.timeout)
        found = list(self.listings(ip))
        if not any(finding.checked is not None and now - finding.checked <= lifetime for _, finding in found):
            return None
        return score(
            ((each.weight, now - (finding.since or now)) for each, finding in found if finding.listed), self.rule
        )

    def look(self, run: Run) -> None:
        """Ask everything once, as long as `run` lasts."""
        self.looker.once(max(run.left - self.timeout, 1.0))
        self._new.update(self.addresses)
        self.publish()

    def publish(self) -> None:
        """What is new since the last time; scores also as listings grow older and answers stale."""
        now = self.context.clock.monotonic()
        with self.looker.lock:
            asked = sum(sum(each.counts.values()) for each in self.lists)
            if not self._new and asked == self._asked and now < self._scores_at:
                return
            fresh, self._new, self._asked = self._new, set(), asked
            if now >= self._scores_at:
                self._scores_at = now + ACCOUNT
                self._scores = {ip: self.score(ip) for ip in self.addresses}
            else:
                self._scores |= {ip: self.score(ip) for ip in fresh}
            verdicts = {ip: list(self._verdicts(ip)) for ip in fresh}
            lists = list(self._lists())
        board = self.context.board
        for ip, readings in verdicts.items():
            board.publish(f"{NAME}: {ip} verdicts", readings)
        board.publish(f"{NAME}: lists", lists)
        board.publish(f"{NAME}: scores", self._score_readings())

    def count_sent(self, run: Run) -> None:
        """Run the query of `sent_today`, if it is time. Raises SampleFailed."""
        if self.query is None or self.query.due_in():
            return
        known = {str(ip) for ip in self.addresses}
        self.sent = self.query.look(run, known)
        if self.sent.bad_rows:
            advice = "each row is to be: ip, count"
            self._repeats.failed(
                "sent", "sent_today_rows_unreadable", reason=self.sent.example, rows=self.sent.bad_rows, advice=advice
            )
        else:
            self._repeats.recovered("sent", "sent_today_rows_readable")
        if not self._stopping.is_set():
            lifetime = 3 * self.query.interval + self.timeout
            stale = self.options.stale_after or self.context.stale_after
            self.context.board.publish(f"{NAME}: sent", self._sent(), max(stale, lifetime))

    def _keep(self) -> None:
        while not self._stopping.wait(PUBLISHED):
            self.publish()
            self._save()
        self.publish()
        self._save_at = 0.0
        self._save()

    def _changed(self, ip: Ip, blocklist: Blocklist, finding: Finding) -> None:
        key = str(ip), blocklist.label
        if finding.listed:
            finding.since = self._since.get(key, finding.since)
            if key not in self._since and finding.since is not None:
                self._since[key] = finding.since
                self._unsaved = True
        elif self._since.pop(key, None) is not None:
            self._unsaved = True
        self._new.add(ip)

    def _verdicts(self, ip: Ip) -> Iterator[Reading]:
        for each, finding in self.listings(ip):
            if finding.listed is None or finding.checked is None:
                continue
            labels = {**self._labels(ip), "blocklist": each.label}
            yield Reading("postwatch_dnsbl_listed", labels, float(finding.listed))
            yield Reading("postwatch_dnsbl_checked_timestamp_seconds", labels, finding.checked)
            for code in finding.codes:
                category = each.rules.category(code)
                yield Reading("postwatch_dnsbl_listing_info", {**labels, "code": code, "category": category}, 1)
            if finding.since is not None:
                yield Reading("postwatch_dnsbl_listed_since_timestamp_seconds", labels, finding.since)

    def _lists(self) -> Iterator[Reading]:
        for each in self.lists:
            labels = {**self.context.labels, "blocklist": each.label}
            for family, standing in each.standings.items():
                if standing.usable is not None:
                    usable = float(standing.usable)
                    yield Reading("postwatch_dnsbl_blocklist_usable", {**labels, "family": family}, usable)
            for result, count in each.counts.items():
                yield Reading("postwatch_dnsbl_queries_total", {**labels, "result": result}, count)

    def _score_readings(self) -> Iterator[Reading]:
        for ip, option in self.addresses.items():
            if (value := self._scores.get(ip)) is not None:
                labels = {**self._labels(ip), "provider": option.provider}
                yield Reading("postwatch_ip_reputation_score", labels, value)

    def _sent(self) -> Iterator[Reading]:
        for ip, option in self.addresses.items():
            labels = {**self._labels(ip), "provider": option.provider}
            yield Reading("postwatch_ip_sent_today", labels, self.sent.counts.get(str(ip), 0.0))

    def _labels(self, ip: Ip) -> dict[str, str]:
        return {**self.context.labels, **self.addresses[ip].labels, "ip": str(ip)}

    def _load(self) -> None:
        if self.options.state_file is None:
            return
        try:
            self._since = state.load(self.options.state_file)
        except state.StateUnusable as error:
            self._repeats.failed("load", "state_file_unreadable", reason=str(error), path=str(self.options.state_file))

    def _save(self) -> None:
        path, now = self.options.state_file, self.context.clock.monotonic()
        if path is None or not self._unsaved or now < self._save_at:
            return
        lists = {each.label for each in self.lists}
        with self.looker.lock:
            known = {key: at for key, at in self._since.items() if key[1] in lists and self._watches(key[0])}
            self._since, self._unsaved = known, False
            known = dict(known)
        try:
            state.save(path, known)
        except OSError as error:
            self._unsaved, self._save_at = True, now + SAVE_AGAIN
            reason = error.strerror or type(error).__name__
            self._repeats.failed("save", "state_file_unwritable", reason=reason, path=str(path))
        else:
            self._repeats.recovered("save", "state_file_writable", path=str(path))

    def _watches(self, ip: str) -> bool:
        return any(str(each) == ip for each in self.addresses)


class ReputationSampler:
    """Looks at everything once if nothing has been started; else accounts for what goes on by itself."""

    kind = NAME
    source = ""

    def __init__(self, part: Reputation) -> None:
        self._part = part
        self.interval = part.interval
        self.timeout = max(part.whole + (part.query is not None) * 2 * part.timeout, part.timeout)
        self.stale_after = part.options.stale_after or part.context.stale_after
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
