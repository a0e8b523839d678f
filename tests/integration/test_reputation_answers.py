"""One look at lists of all sorts: rbldnsd behind unbound, with zones that the test wrote."""

from collections.abc import Iterator
from typing import Any

import pytest

from exporter.model import Reason
from exporter.reputation.part import Reputation
from tests.support.dns import TEST_ENTRIES, Rbldnsd, Relay, Unbound, Zone, blocklist, reverse
from tests.support.exporter import Exporter
from tests.support.samples import Samples
from tests.support.servers import free_port

LISTED, CLEAN, SIX = "192.0.2.1", "192.0.2.2", "2001:db8::25"
SIX_REVERSED = "5.2" + ".0" * 22 + ".8.b.d.0.1.0.0.2"
HUGE = [f"127.0.0.{n}" for n in range(2, 90)]

ZONES = {
    "zen.spamhaus.org": blocklist(
        {reverse(LISTED): ["127.0.0.2", "127.0.0.9", "127.0.0.10"], SIX_REVERSED: ["127.0.0.3"]},
        {reverse(LISTED): "https://check.spamhaus.org/query/ip/192.0.2.1"},
        ipv6=True,
    ),
    "bl.spamcop.net": blocklist({}),
    "undefined.lists.example": blocklist({reverse(LISTED): ["127.0.0.77"]}),
    "refuses.lists.example": blocklist({reverse(LISTED): ["127.255.255.255"]}),
    "refuses-all.lists.example": Zone({reverse("127.0.0.2"): ["127.255.255.254"]}),
    "empty.lists.example": blocklist({reverse(LISTED): ["127.0.0.2"]}, tested=False),
    "everything.lists.example": blocklist({reverse("127.0.0.1"): ["127.0.0.2"], reverse(CLEAN): ["127.0.0.2"]}),
    "lasting.lists.example": blocklist({reverse(LISTED): ["127.0.0.2"]}, ttl=18_000),
    "own.lists.example": Zone({reverse("203.0.113.7"): ["127.0.0.2"], reverse(LISTED): ["127.0.0.2"]}),
}
# What unbound answers by itself.
LOCAL = [
    'local-zone: "rewritten.lists.example." redirect',
    'local-data: "rewritten.lists.example. A 93.184.216.34"',
    'local-zone: "dead.lists.example." always_deny',
    'local-zone: "refused.lists.example." always_refuse',
    'local-zone: "huge.lists.example." static',
    f'local-data: "{reverse("127.0.0.2")}.huge.lists.example. A 127.0.0.2"',
    *(f'local-data: "{reverse(LISTED)}.huge.lists.example. A {code}"' for code in HUGE),
]


@pytest.fixture(scope="module")
def resolver() -> Iterator[Unbound]:
    """An unbound that knows all of them; `failing` is asked of a server that does not know it."""
    with (
        Rbldnsd(ZONES) as lists,
        Unbound(lists, settings=LOCAL, stubs={"failing.lists.example": lists.port}) as unbound,
    ):
        yield unbound


@pytest.fixture
def relay(resolver: Unbound) -> Iterator[Relay]:
    with Relay(resolver.port) as relay:
        yield relay


def given(resolvers: list[str], lists: list[Any], *addresses: str, **more: Any) -> dict[str, Any]:
    """A configuration; lists by zone, or as they are."""
    return {
        "reputation": {
            "interval": "1h",
            "timeout": "800ms",
            "queries_per_second": 200,
            "resolvers": resolvers,
            "blocklists": [each if isinstance(each, dict) else {"zone": each} for each in lists],
            "addresses": [{"ip": each, "provider": "own"} for each in addresses],
            **more,
        }
    }


def look(*args: Any, **more: Any) -> Samples:
    with Exporter(given(*args, **more)) as exporter:
        return exporter.look("reputation", source="")


def listed(samples: Samples, ip: str) -> dict[str, float]:
    return samples.by("blocklist", "postwatch_dnsbl_listed", ip=ip)


def usable(samples: Samples, family: str = "ipv4") -> dict[str, float]:
    return samples.by("blocklist", "postwatch_dnsbl_blocklist_usable", family=family)


def test_listings_with_all_their_codes(relay: Relay) -> None:
    samples = look([relay.address], ["zen.spamhaus.org", "bl.spamcop.net"], LISTED, CLEAN)
    assert listed(samples, LISTED) == {"zen.spamhaus.org": 1, "bl.spamcop.net": 0}
    assert listed(samples, CLEAN) == {"zen.spamhaus.org": 0, "bl.spamcop.net": 0}
    info = samples.series("postwatch_dnsbl_listing_info")
    assert {(labels["ip"], labels["code"], labels["category"]) for labels, _ in info} == {
        (LISTED, "127.0.0.2", "SBL"), (LISTED, "127.0.0.9", "DROP"), (LISTED, "127.0.0.10", "PBL"),
    }  # fmt: skip
    since = samples.by("ip", "postwatch_dnsbl_listed_since_timestamp_seconds")
    assert since == {
        LISTED: samples.value("postwatch_dnsbl_checked_timestamp_seconds", ip=LISTED, blocklist="zen.spamhaus.org")
    }
    assert samples.by("ip", "postwatch_ip_reputation_score") == {LISTED: 60, CLEAN: 100}
    assert samples.by("tier", "postwatch_dnsbl_blocklist_info") == {"critical": 1, "warning": 1}


def test_both_families(relay: Relay) -> None:
    samples = look([relay.address], ["zen.spamhaus.org", "bl.spamcop.net"], LISTED, SIX)
    assert listed(samples, SIX) == {"zen.spamhaus.org": 1}
    assert samples.by("category", "postwatch_dnsbl_listing_info", ip=SIX) == {"CSS": 1}
    assert usable(samples) == {"zen.spamhaus.org": 1, "bl.spamcop.net": 1}
    assert usable(samples, "ipv6") == {"zen.spamhaus.org": 1, "bl.spamcop.net": 0}
    assert f"{SIX_REVERSED}.zen.spamhaus.org" in {each.name for each in relay.asked("zen.spamhaus.org")}
    assert not [each for each in relay.asked("bl.spamcop.net") if each.name.startswith(SIX_REVERSED)]


def test_a_family_without_addresses_is_not_asked_for(relay: Relay) -> None:
    assert usable(look([relay.address], ["zen.spamhaus.org"], LISTED), "ipv6") == {}
    only = [{"zone": "bl.spamcop.net", "families": ["ipv4"]}]
    assert usable(look([relay.address], only, LISTED, SIX), "ipv6") == {}


@pytest.mark.parametrize(
    "zone",
    ["empty", "everything", "refuses-all", "rewritten", "failing", "refused", "dead"],
)
def test_a_list_that_fails_its_test_is_not_asked_for_addresses(relay: Relay, zone: str) -> None:
    name = f"{zone}.lists.example"
    samples = look([relay.address], [name, "bl.spamcop.net"], LISTED, CLEAN)
    assert usable(samples) == {name: 0, "bl.spamcop.net": 1}
    assert listed(samples, LISTED) == {"bl.spamcop.net": 0}
    asked = {each.name.removesuffix(f".{name}") for each in relay.asked(name)}
    assert asked <= {reverse("127.0.0.2"), reverse("127.0.0.1")}


@pytest.mark.parametrize(
    ("zone", "result", "count"),
    [
        # Test entry and control first, then two addresses.
        ("zen.spamhaus.org", "listed", 2), ("zen.spamhaus.org", "clean", 2),
        ("refuses-all.lists.example", "blocked", 1), ("refuses.lists.example", "blocked", 1),
        ("rewritten.lists.example", "error", 1), ("failing.lists.example", "error", 1),
        ("refused.lists.example", "error", 1), ("dead.lists.example", "timeout", 1),
    ],
)  # fmt: skip
def test_questions_are_counted_by_how_they_end(relay: Relay, zone: str, result: str, count: int) -> None:
    samples = look([relay.address], [zone], LISTED, CLEAN)
    counts = samples.by("result", "postwatch_dnsbl_queries_total", blocklist=zone)
    assert set(counts) == {"listed", "clean", "blocked", "timeout", "error"}
    assert counts[result] == count


def test_a_refusal_for_an_address_is_no_verdict(relay: Relay) -> None:
    samples = look([relay.address], ["refuses.lists.example"], LISTED, CLEAN)
    assert listed(samples, LISTED) == {}
    assert listed(samples, CLEAN) == {"refuses.lists.example": 0}
    assert samples.by("ip", "postwatch_ip_reputation_score") == {CLEAN: 100}


def test_codes_that_a_list_does_not_define(relay: Relay) -> None:
    zone = "undefined.lists.example"
    assert listed(look([relay.address], [zone], LISTED), LISTED) == {zone: 1}
    strict = [{"zone": zone, "codes": {"127.0.0.4": "trap"}}]
    assert listed(look([relay.address], strict, LISTED), LISTED) == {}
    named = look([relay.address], [{"zone": zone, "codes": {"127.0.0.77": "trap"}}], LISTED)
    assert named.by("category", "postwatch_dnsbl_listing_info") == {"trap": 1}


def test_an_answer_that_was_cut_short_is_asked_for_by_tcp(resolver: Unbound) -> None:
    samples = look([resolver.address], ["huge.lists.example"], LISTED)
    codes = samples.by("code", "postwatch_dnsbl_listing_info", ip=LISTED)
    assert sorted(codes) == sorted(HUGE)


def test_a_list_without_test_entries_can_be_believed(relay: Relay) -> None:
    zone = "empty.lists.example"
    samples = look([relay.address], [{"zone": zone, "test": {"enabled": False}}], LISTED, CLEAN)
    assert (listed(samples, LISTED), listed(samples, CLEAN)) == ({zone: 1}, {zone: 0})
    assert usable(samples) == {zone: 1}


def test_a_list_can_have_test_entries_of_its_own(relay: Relay) -> None:
    zone = "own.lists.example"
    entries = {"ipv4": {"listed": "203.0.113.7", "clean": "203.0.113.8"}}
    assert listed(look([relay.address], [{"zone": zone, "test": entries}], LISTED), LISTED) == {zone: 1}
    assert usable(look([relay.address], [zone], LISTED)) == {zone: 0}


def test_a_score_stays_as_long_as_an_answer_holds(resolver: Unbound) -> None:
    """A list whose answers hold for longer than three intervals is not asked again before, and tells nothing new."""
    with Exporter(given([resolver.address], ["lasting.lists.example"], LISTED, CLEAN)) as exporter:
        exporter.look("reputation", source="")
        (part,) = exporter.watch.parts
        assert isinstance(part, Reputation)
        first, second = part.knowledge.addresses
        for hours, scores in ((2, (84.9, 100)), (4, (84.8, None)), (7, (84.7, None)), (9, (None, None))):
            exporter.clock.offset = hours * 3600
            assert (part.knowledge.score(first), part.knowledge.score(second)) == scores


def test_the_next_resolver_is_asked_where_one_fails(relay: Relay, resolver: Unbound) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    assert listed(look([nobody, relay.address], ["zen.spamhaus.org"], LISTED), LISTED) == {"zen.spamhaus.org": 1}
    relay.lost.add("spamhaus.org")
    silent = look([relay.address, resolver.address], ["zen.spamhaus.org"], LISTED)
    assert listed(silent, LISTED) == {"zen.spamhaus.org": 1}


def test_no_resolver_that_answers_is_a_failure_of_its_own(relay: Relay) -> None:
    relay.lost.update(["example", "localhost", "net"])
    with Exporter(given([relay.address], ["bl.spamcop.net"], LISTED)) as exporter:
        outcome = exporter.run("reputation", source="")
        assert not outcome.up
        assert outcome.failures[Reason.TIMEOUT] == 1
        assert relay.address in outcome.error
        relay.lost.clear()
        assert listed(exporter.samples(), LISTED) == {}


def test_a_silent_list_is_no_silent_resolver(relay: Relay) -> None:
    relay.lost.add("lists.example")
    samples = look([relay.address], ["everything.lists.example"], LISTED)
    assert usable(samples) == {"everything.lists.example": 0}


def test_a_slow_list_holds_nobody_up(relay: Relay) -> None:
    relay.delays["zen.spamhaus.org"] = 0.3
    addresses = [f"198.51.100.{n}" for n in range(20)]
    samples = look([relay.address], ["zen.spamhaus.org", "bl.spamcop.net"], *addresses, timeout="1s")
    assert sum(len(listed(samples, ip)) for ip in addresses) == 40
    slow, quick = relay.asked("zen.spamhaus.org"), relay.asked("bl.spamcop.net")
    before = {each.name for each in slow if each.at < quick[-1].at}
    assert len({each.name for each in quick}) == 22
    assert len(before) < 8  # of 22: all of one list, before the other has a third


def test_labels_of_an_address(relay: Relay) -> None:
    config = given([relay.address], ["zen.spamhaus.org"], LISTED)
    config["reputation"]["addresses"][0]["labels"] = {"stream": "bulk"}
    config["defaults"] = {"labels": {"team": "delivery"}}
    with Exporter(config) as exporter:
        samples = exporter.look("reputation", source="")
    (labels, _) = samples.series("postwatch_dnsbl_listed")[0]
    assert (labels["stream"], labels["team"]) == ("bulk", "delivery")
    (labels, _) = samples.series("postwatch_dnsbl_blocklist_info")[0]
    assert labels == {"team": "delivery", "blocklist": "zen.spamhaus.org", "tier": "critical"}


def test_test_entries_are_what_rfc_5782_says() -> None:
    assert list(TEST_ENTRIES) == [reverse("127.0.0.2")]
