"""Reputation in a living daemon: listings come and go, resolvers fail, restarts and reloads, and a key stays hidden."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.dns import Rbldnsd, Relay, Unbound, blocklist, reverse
from tests.support.exporter import Daemon, command
from tests.support.servers import free_port
from tests.support.wait import eventually

IP, OTHER = "192.0.2.1", "192.0.2.2"
A, B, C = "a.lists.example", "b.lists.example", "c.lists.example"
KEY = "sekretkey0123456789abcdefgh"
PAID = f"{KEY}.zen.dq.spamhaus.net"
ON = blocklist({reverse(IP): ["127.0.0.2"]}, {reverse(IP): "see https://lists.example/?q=192.0.2.1"})
OFF = blocklist({})


@pytest.fixture
def lists() -> Iterator[Rbldnsd]:
    paid = blocklist({reverse(IP): ["127.0.0.4"]}, {reverse(IP): f"listed, key {KEY}"})
    with Rbldnsd({A: ON, B: OFF, C: OFF, PAID: paid}) as server:
        yield server


@pytest.fixture
def unbound(lists: Rbldnsd) -> Iterator[Unbound]:
    with Unbound(lists) as server:
        yield server


@pytest.fixture
def relay(unbound: Unbound) -> Iterator[Relay]:
    with Relay(unbound.port) as relay:
        yield relay


def given(resolvers: list[str], zones: list[Any], *addresses: str, **more: Any) -> dict[str, Any]:
    return {
        "web": {"listen": "127.0.0.1:0"},
        "reputation": {
            "interval": "1s",
            "timeout": "500ms",
            "stale_after": "1s",
            "queries_per_second": 100,
            "resolvers": resolvers,
            "blocklists": [each if isinstance(each, dict) else {"zone": each} for each in zones],
            "addresses": [{"ip": each} for each in addresses],
            **more,
        },
    }


def until_listed(daemon: Daemon, expected: float | None, blocklist: str = A, ip: str = IP) -> None:
    daemon.until("postwatch_dnsbl_listed", expected, within=20, ip=ip, blocklist=blocklist)


def checked(daemon: Daemon) -> dict[str, float]:
    return daemon.samples().by("blocklist", "postwatch_dnsbl_checked_timestamp_seconds", ip=IP)


def test_a_listing_comes_and_goes(tmp_path: Path, lists: Rbldnsd, relay: Relay) -> None:
    lists.change(A, OFF)
    with Daemon(tmp_path, given([relay.address], [A], IP, state_file=str(tmp_path / "state.json"))) as daemon:
        until_listed(daemon, 0)
        assert daemon.samples().get("postwatch_dnsbl_listed_since_timestamp_seconds") is None
        lists.change(A, ON)
        until_listed(daemon, 1)
        daemon.until("postwatch_ip_reputation_score", 85)
        samples = daemon.samples()
        assert samples.value("postwatch_dnsbl_listing_info", ip=IP, code="127.0.0.2") == 1
        since = samples.value("postwatch_dnsbl_listed_since_timestamp_seconds", ip=IP)
        (line,) = daemon.logged("address_listed", ip=IP, blocklist=A)
        assert line["codes"] == ["127.0.0.2"]
        state = eventually(lambda: json.loads((tmp_path / "state.json").read_text()), within=15)
        assert state["listed_since"][IP][A] == pytest.approx(since, abs=0.01)
        lists.change(A, OFF)
        until_listed(daemon, 0)
        daemon.until("postwatch_ip_reputation_score", 100)
        assert daemon.logged("address_delisted", ip=IP)
        gone = daemon.samples()
        assert gone.get("postwatch_dnsbl_listed_since_timestamp_seconds") is None
        assert gone.get("postwatch_dnsbl_listing_info") is None
        eventually(lambda: json.loads((tmp_path / "state.json").read_text())["listed_since"] == {}, within=15)


def test_the_last_verdict_stays_with_its_moment(tmp_path: Path, lists: Rbldnsd, relay: Relay) -> None:
    """One list falls silent, another one refuses, a third is asked as before."""
    lists.change(B, ON)
    with Daemon(tmp_path, given([relay.address], [A, B, C], IP)) as daemon:
        for each, verdict in ((A, 1), (B, 1), (C, 0)):
            until_listed(daemon, verdict, each)
        relay.lost.add(A)
        refusing = {reverse(ip): ["127.255.255.254"] for ip in (IP, "127.0.0.2")}
        lists.change(B, blocklist(refusing, tested=False))
        for each, result in ((A, "timeout"), (B, "blocked")):
            daemon.until("postwatch_dnsbl_blocklist_usable", 0, within=25, blocklist=each, family="ipv4")
            assert daemon.samples().value("postwatch_dnsbl_queries_total", blocklist=each, result=result) > 0
            assert daemon.samples().value("postwatch_dnsbl_listed", ip=IP, blocklist=each) == 1
        before = checked(daemon)
        eventually(lambda: checked(daemon)[C] > before[C], within=15)
        after = checked(daemon)
        assert (after[A], after[B]) == (before[A], before[B])
        # The sampler is well, since the resolver is.
        assert daemon.samples().up("reputation", "") == 1
        relay.lost.clear()
        for each in (A, B):
            lists.change(each, OFF)
            until_listed(daemon, 0, each)
            assert daemon.samples().value("postwatch_dnsbl_blocklist_usable", blocklist=each, family="ipv4") == 1
            assert len(daemon.logged("blocklist_unusable", blocklist=each)) == 1
            assert len(daemon.logged("blocklist_usable", blocklist=each)) == 1


def test_since_when_outlives_a_crash(tmp_path: Path, relay: Relay) -> None:
    config = given([relay.address], [A], IP, state_file="state.json")
    with Daemon(tmp_path, config) as daemon:
        until_listed(daemon, 1)
        since = daemon.samples().value("postwatch_dnsbl_listed_since_timestamp_seconds")
        eventually(lambda: (tmp_path / "state.json").exists(), within=15)
        daemon.kill()
    with Daemon(tmp_path, config) as daemon:
        until_listed(daemon, 1)
        again = daemon.samples().value("postwatch_dnsbl_listed_since_timestamp_seconds")
        assert again == pytest.approx(since, abs=0.01)
        assert daemon.samples().value("postwatch_dnsbl_checked_timestamp_seconds") > since
        assert daemon.stop() == 0


def test_a_state_file_that_cannot_be_used_is_one_line(tmp_path: Path, relay: Relay) -> None:
    (tmp_path / "state.json").mkdir()
    with Daemon(tmp_path, given([relay.address], [A], IP, state_file="state.json")) as daemon:
        until_listed(daemon, 1)
        eventually(lambda: daemon.logged("state_file_unwritable"), within=15)
        checked = daemon.samples().value("postwatch_dnsbl_checked_timestamp_seconds")
        eventually(lambda: daemon.samples().value("postwatch_dnsbl_checked_timestamp_seconds") > checked + 1)
        assert len(daemon.logged("state_file_unwritable")) == len(daemon.logged("state_file_unreadable")) == 1
        assert daemon.samples().up("reputation", "") == 1


def test_resolvers_may_fail_and_come_back(tmp_path: Path, lists: Rbldnsd, unbound: Unbound) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    with Daemon(tmp_path, given([nobody, unbound.address], [A], IP)) as daemon:
        until_listed(daemon, 1)
        daemon.until_up(1, "reputation", source="")
        unbound.kill()
        daemon.until_up(0, "reputation", source="", within=30)
        samples = daemon.samples()
        assert samples.value("postwatch_sampler_failures_total", sampler="reputation", reason="timeout") > 0
        assert samples.value("postwatch_dnsbl_listed", ip=IP, blocklist=A) == 1
        (line,) = daemon.logged("sampler_failed", sampler="reputation")
        assert unbound.address in line["error"]
        lists.change(A, OFF)
        unbound.start()
        daemon.until_up(1, "reputation", source="", within=30)
        until_listed(daemon, 0)


def test_a_reload_keeps_what_is_known(tmp_path: Path, relay: Relay) -> None:
    with Daemon(tmp_path, given([relay.address], [A, B], IP, OTHER)) as daemon:
        until_listed(daemon, 1)
        until_listed(daemon, 0, A, OTHER)
        before = daemon.samples()
        counts = before.by("result", "postwatch_dnsbl_queries_total", blocklist=A)
        since = before.value("postwatch_dnsbl_listed_since_timestamp_seconds", ip=IP)
        relay.lost.add(A)  # so that nothing new is heard of it
        daemon.write(given([relay.address], [{"zone": A, "severity": "critical"}], IP))
        eventually(lambda: daemon.logged("reloaded"), within=20)
        daemon.until("postwatch_dnsbl_listed", None, ip=OTHER, blocklist=A)
        samples = daemon.until("postwatch_dnsbl_listed", None, ip=IP, blocklist=B)
        assert samples.value("postwatch_dnsbl_listed", ip=IP, blocklist=A) == 1
        assert samples.value("postwatch_dnsbl_listed_since_timestamp_seconds", ip=IP) == since
        assert samples.by("tier", "postwatch_dnsbl_blocklist_info") == {"critical": 1}
        assert not samples.series("postwatch_dnsbl_queries_total", blocklist=B)
        after = samples.by("result", "postwatch_dnsbl_queries_total", blocklist=A)
        assert all(after[result] >= count for result, count in counts.items())


def test_a_key_is_asked_for_and_never_seen(tmp_path: Path, relay: Relay) -> None:
    zone_file, state = tmp_path / "zone", tmp_path / "state.json"
    zone_file.write_text(f"{PAID.upper()}\n")
    paid = {"name": "dqs", "zone_file": str(zone_file)}
    with Daemon(tmp_path, given([relay.address], [paid, A], IP, OTHER, state_file=str(state))) as daemon:
        until_listed(daemon, 1, "dqs")
        assert daemon.samples().by("category", "postwatch_dnsbl_listing_info", blocklist="dqs") == {"XBL": 1}
        eventually(lambda: "dqs" in state.read_text() if state.exists() else False, within=15)
        shown = [daemon.get().text, daemon.get("/").text, daemon.get("/health").text, state.read_text()]
        relay.lost.add(PAID)
        daemon.until("postwatch_dnsbl_blocklist_usable", 0, within=20, blocklist="dqs", family="ipv4")
        zone_file.write_text(f"{KEY}. not a zone")
        relay.lost.clear()
        wrong = "postwatch_dnsbl_queries_total"
        counts = daemon.samples().by("result", wrong, blocklist="dqs")
        eventually(lambda: daemon.logged("blocklist_unusable", reason="zone: not the name of a DNS zone; write e.g. zen.spamhaus.org"), within=20)  # fmt: skip  # noqa: E501
        assert counts["timeout"] > 0
        shown += [daemon.get().text, daemon.get("/").text, json.dumps(daemon.log()), daemon.errors]
        zone_file.write_text(PAID)
        for asked in (["check", "--connect"], ["sample"], ["sample", "--format", "prometheus"], ["reputation"]):
            done = command(*asked, "--config", str(daemon.config))
            shown += [done.stdout, done.stderr]
        assert "listed, key ***" in shown[-2]
    assert relay.asked(PAID) or [each for each in relay.seen if KEY in each.name.lower()]
    for each in shown:
        assert KEY not in each.lower()
        assert "sekretkey" not in each.lower()


# How it asks


def test_questions_are_spaced_and_spread(tmp_path: Path, relay: Relay) -> None:
    addresses = [f"198.51.100.{n}" for n in range(1, 16)]
    config = given([relay.address], [A, B], *addresses, interval="4s", queries_per_second=20)
    with Daemon(tmp_path, config):
        # 30 looks and 4 tests an interval: the first as fast as may be, 1.7 s, later ones spread over all of it.
        eventually(lambda: len(relay.asked(A)) > 1 and relay.asked(A)[-1].at - relay.asked(A)[0].at > 12.5, within=60)
    asked = sorted([*relay.asked(A), *relay.asked(B)], key=lambda each: each.at)
    for first, last in zip(asked, asked[21:], strict=False):
        assert last.at - first.at > 0.85  # 21 gaps of 50 ms
    start = asked[0].at
    seconds = Counter(int(each.at - start) for each in asked if 4 <= each.at - start < 12)
    assert len(seconds) == 8
    assert max(seconds.values()) <= 19  # of 34 in four; bunched, it were all 20 that the limit allows
    looks: dict[str, list[float]] = {}
    for each in asked:
        looks.setdefault(each.name, []).append(each.at)
    for name, moments in looks.items():
        # In a slot of its own: none is left out, none comes twice.
        gaps = [round(two - one, 2) for one, two in itertools.pairwise(moments)]
        # The first look is no slot, so the second may follow it soon.
        assert all(1.5 < gap < 5.2 for gap in gaps[1:]) and gaps[0] < 5.2, (name, gaps)
        assert len(moments) in (3, 4, 5), name


def test_a_lists_own_limit_holds(tmp_path: Path, relay: Relay) -> None:
    addresses = [f"198.51.100.{n}" for n in range(1, 16)]
    slowly = {"zone": A, "queries_per_second": 5}
    with Daemon(tmp_path, given([relay.address], [slowly, B], *addresses, interval="1h")):
        eventually(lambda: len(relay.asked(A)) == len(relay.asked(B)) == 17, within=30)
    held, free = relay.asked(A), relay.asked(B)
    assert held[-1].at - held[0].at > 16 / 5 * 0.9
    assert free[-1].at - free[0].at < 2.0


def test_an_answer_is_believed_as_long_as_it_holds(tmp_path: Path, lists: Rbldnsd, relay: Relay) -> None:
    """A listing by its records' time to live, its absence by the zone's SOA."""
    lists.change(A, blocklist({reverse(IP): ["127.0.0.2"]}, ttl=3, negative_ttl=3))

    def moments(ip: str, zone: str) -> list[float]:
        return [each.at for each in relay.asked(zone) if each.name == f"{reverse(ip)}.{zone}"]

    with Daemon(tmp_path, given([relay.address], [A, B], IP, OTHER)) as daemon:
        until_listed(daemon, 1, A, IP)
        until_listed(daemon, 0, A, OTHER)
        eventually(lambda: len(moments(IP, A)) >= 3 and len(moments(OTHER, A)) >= 3, within=30)
    for ip in (IP, OTHER):
        assert all(two - one > 2.5 for one, two in itertools.pairwise(moments(ip, A)))
        assert len(moments(ip, B)) > len(moments(ip, A))  # its answers hold for a second
