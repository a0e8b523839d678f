"""Two hundred addresses in twenty blocklists, by one process, over two intervals."""

import re
import time
from pathlib import Path

import pytest

from tests.bench import report
from tests.bench.report import Goal
from tests.bench.sections import Exporter
from tests.support.dns import Rbldnsd, Unbound, Zone, blocklist, reverse

ADDRESSES, LISTS = 200, 20
INTERVAL = 240.0  # seconds, so that two of them can be measured
DEFAULT = 1800.0
RATE = 20  # questions a second, the default
SCRAPED = 15.0  # seconds
CPU = 0.02  # of a core
GROWTH = 4 * 2**20  # bytes from one interval to the next
OVERRUN = 0.10
_CHECKED = re.compile(r'^postwatch_dnsbl_checked_timestamp_seconds\{blocklist="(.+?)",ip="(.+?)"\} (.+)$', re.M)

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1200)]


class Reputation(Exporter):
    """The daemon with addresses and lists."""

    def __init__(self, folder: Path, resolver: str) -> None:
        given = {
            "interval": f"{INTERVAL:.0f}s",
            "queries_per_second": RATE,
            "resolvers": [resolver],
            "state_file": str(folder / "state.json"),
            "blocklists": [{"zone": name} for name in zones()],
            "addresses": [{"ip": ip, "provider": "own"} for ip in addresses()],
        }
        super().__init__(folder, {"reputation": given})

    def checked(self) -> dict[tuple[str, str], float]:
        """Epoch seconds of the last true answer of each pair."""
        found = _CHECKED.findall(self.scrape().decode())
        return {(blocklist, ip): float(at) for blocklist, ip, at in found}


def addresses() -> list[str]:
    return [f"198.51.100.{n}" for n in range(ADDRESSES)]


def zones() -> dict[str, Zone]:
    """Each lists one address in ten, other ones each."""
    return {
        f"list-{number}.lists.example": blocklist({reverse(ip): ["127.0.0.2"] for ip in addresses()[number % 10 :: 10]})
        for number in range(LISTS)
    }


def test_many_addresses_in_many_lists(tmp_path: Path) -> None:
    pairs = ADDRESSES * LISTS
    with Rbldnsd(zones()) as lists, Unbound(lists) as unbound, Reputation(tmp_path, unbound.address) as daemon:
        before, began = daemon.cpu(), time.monotonic()
        while len(first := daemon.checked()) < pairs:
            assert time.monotonic() - began < 3 * pairs / RATE, f"{len(first)} of {pairs} pairs were looked at"
            time.sleep(SCRAPED)
        quick, round_took = (daemon.cpu() - before) / (time.monotonic() - began), time.monotonic() - began
        # The second round comes in its slots, over all of the interval.
        time.sleep(max(INTERVAL - round_took, 0) + 5)
        settled, before, began = daemon.memory(), daemon.cpu(), time.monotonic()
        start, gaps = daemon.checked(), dict.fromkeys(first, 0.0)
        while time.monotonic() - began < 1.3 * INTERVAL:
            time.sleep(SCRAPED)
            for pair, at in daemon.checked().items():
                gaps[pair] = max(gaps[pair], at - start[pair])
                start[pair] = at
        steady, memory = (daemon.cpu() - before) / (time.monotonic() - began), daemon.memory()
        listed = daemon.scrape().decode().count("} 1.0\n")
    assert listed > pairs / 10
    overrun = max(max(gaps.values()) / INTERVAL - 1, 0.0)
    grown = memory - settled
    cpu, growth = f"< {CPU:.0%} of a core", f"< {GROWTH / 2**20:.0f} MiB"
    # What was measured is an interval in a fraction of its time.
    first_round, in_slots = quick * round_took / DEFAULT, steady * INTERVAL / DEFAULT
    goals = [
        Goal("processor time of the first round, over 30 min", cpu, f"{first_round:.2%}", first_round < CPU),
        Goal("processor time of a later round, over 30 min", cpu, f"{in_slots:.2%}", in_slots < CPU),
        Goal("growth of memory over an interval", growth, f"{grown / 2**20:.1f} MiB", grown < GROWTH),
        Goal("longest interval over what it should be", f"≤ {OVERRUN:.0%}", f"{overrun:.1%}", overrun <= OVERRUN),
    ]
    text = (
        f"{ADDRESSES} addresses in {LISTS} lists of rbldnsd, behind unbound: {pairs:,} pairs every {INTERVAL:.0f} s,"
        f" which is {DEFAULT / INTERVAL:.1f} times as often as by default. The first round is as fast as {RATE}"
        f" questions a second allow ({round_took:.0f} s, {quick:.1%} of a core during it); later ones are spread over"
        f" the interval ({steady:.1%}). Scraped every {SCRAPED:.0f} s; resident memory is {memory / 2**20:.0f} MiB."
    )
    report.write("reputation", "rbldnsd 1.0, unbound 1.17", goals, text)
