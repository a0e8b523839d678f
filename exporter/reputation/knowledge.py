"""What is known of each address: what lists say, its score, how much it sent; as values for the board."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from chassis.exposition import Reading
from exporter.parts import PartContext
from exporter.reputation.blocklists import Blocklist, Finding
from exporter.reputation.looker import Pair
from exporter.reputation.names import Ip
from exporter.reputation.options import AddressOptions, ReputationOptions
from exporter.reputation.score import Rule, score
from exporter.reputation.sent import Sent


class Knowledge:
    """Of all addresses. `findings` are written by others, under a lock that whoever reads here holds."""

    def __init__(
        self,
        options: ReputationOptions,
        context: PartContext,
        lists: Sequence[Blocklist],
        findings: Mapping[Pair, Finding],
        lifetime: float,
    ) -> None:
        """`lifetime`: seconds after which a true answer tells nothing any more, from when it held no longer."""
        self.addresses: dict[Ip, AddressOptions] = {each.ip: each for each in options.addresses}
        self.lists = lists
        self.sent = Sent()
        self._findings = findings
        self._rule = Rule(options.score.ageing, options.score.full_after)
        self._lifetime = lifetime
        self._context = context

    def listings(self, ip: Ip) -> Iterator[tuple[Blocklist, Finding]]:
        """What each list says of an address."""
        for each in self.lists:
            if finding := self._findings.get((ip, each.label)):
                yield each, finding

    def score(self, ip: Ip) -> float | None:
        """0 to 100; None while no list has told anything lately."""
        now = self._context.clock.now()
        found = list(self.listings(ip))
        if not any(each.checked is not None and now - each.checked <= self._lifetime + each.holds for _, each in found):
            return None
        return score(
            ((each.weight, now - (finding.since or now)) for each, finding in found if finding.listed), self._rule
        )

    def settings(self) -> Iterator[Reading]:
        """The lists and their tiers."""
        for each in self.lists:
            labels = {**self._context.labels, "blocklist": each.label, "tier": each.tier}
            yield Reading("postwatch_dnsbl_blocklist_info", labels, 1)

    def verdicts(self, ip: Ip) -> Iterator[Reading]:
        """True answers about one address."""
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

    def standings(self) -> Iterator[Reading]:
        """Whether lists work, and what was asked of them."""
        for each in self.lists:
            labels = {**self._context.labels, "blocklist": each.label}
            for family, standing in each.standings.items():
                if standing.usable is not None:
                    usable = float(standing.usable)
                    yield Reading("postwatch_dnsbl_blocklist_usable", {**labels, "family": family}, usable)
            for result, count in each.counts.items():
                yield Reading("postwatch_dnsbl_queries_total", {**labels, "result": result}, count)

    def scores(self, known: Mapping[Ip, float | None]) -> Iterator[Reading]:
        """Of addresses that have one."""
        for ip in self.addresses:
            if (value := known.get(ip)) is not None:
                yield Reading("postwatch_ip_reputation_score", self._provided(ip), value)

    def sendings(self) -> Iterator[Reading]:
        """Of all addresses: who sent nothing sent 0."""
        for ip in self.addresses:
            yield Reading("postwatch_ip_sent_today", self._provided(ip), self.sent.counts.get(str(ip), 0.0))

    def _labels(self, ip: Ip) -> dict[str, str]:
        return {**self._context.labels, **self.addresses[ip].labels, "ip": str(ip)}

    def _provided(self, ip: Ip) -> dict[str, str]:
        return {**self._labels(ip), "provider": self.addresses[ip].provider}
