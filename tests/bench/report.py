"""docs/benchmarks.md: a section for each measurement, each replaced when it is measured again."""

import datetime
import os
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

BUSY = 3.0  # the load that the measurements make themselves is below
BUSY_NOTE = (
    " **Other work ran on the machine**: times by the clock are longer, and comparisons noisier, than on a quiet one."
)
DOCUMENT = Path(os.environ.get("BENCHMARKS", Path(__file__).parents[2] / "docs" / "benchmarks.md"))
_BEFORE = psutil.cpu_times()  # when the measurement was loaded
_SECTION = re.compile(r"^<!-- measured: (?P<name>[\w-]+) -->\n(?P<text>.*?)(?=^<!-- measured: |\Z)", re.M | re.S)

# In the document's order; what a section is called in the list of goals.
TITLES = {
    "database-time": "Database time of a sample, by the size of the table",
    "database-time-20-million": "Database time of a sample, up to 20 million rows",
    "against-a-query": "Against counting by a query",
    "basic": "A table without an index",
    "workload": "Effect on the workload",
    "workload-pgboss": "Effect on the jobs of pg-boss",
    "workload-pgmq": "Effect on the jobs of pgmq",
    "scrapes": "Scrapes of 10,000 series",
    "footprint": "Processor and memory",
    "memory": "Memory over 10,000 samples",
    "scale": "A thousand services and more in one process",
    "reputation": "Two hundred addresses in twenty blocklists",
    "chain": "From trouble to a page",
    "alerter-latency": "The alerter: from a webhook to accepted by the provider",
    "alerter-intake": "The alerter: many alerts in one payload",
    "alerter-storm": "The alerter: a storm",
    "alerter-durability": "The alerter: the price of durability",
    "open-transaction": "A transaction that is open for ten minutes",
}

_HEAD = """\
# Benchmarks

Made by `make bench` (about an hour) and `make soak` (longer), which replace the sections they measure. All
servers run on the machine that measures: two processors for PostgreSQL, the jobs' writer, the exporter and the
scraper together. Each section is from a run of its own, at the time's state of the code; ratios are of one run.
Goals that were missed are included.

**Database time** is `total_exec_time` of pg_stat_statements over all statements of the exporter's own role, its
`begin` and `set` included. **Of a sample**: for each 5 seconds, the default interval.

"""


@dataclass(frozen=True)
class Goal:
    """One figure and what it should be."""

    name: str
    wanted: str
    seen: str
    met: bool


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines) + "\n"


def write(name: str, server: str, goals: Sequence[Goal], text: str) -> None:
    """Replace a section, print it, and fail if a goal was missed."""
    verdicts = table(
        ["goal", "wanted", "seen", ""], [(g.name, g.wanted, g.seen, "met" if g.met else "**missed**") for g in goals]
    )
    section = f"## {TITLES[name]}\n\n{_circumstances(server)}\n\n{verdicts}\n{text.strip()}\n\n"
    print(f"\n{section}")  # noqa: T201  # whoever measures wants to see it
    sections = {m["name"]: m["text"] for m in _SECTION.finditer(DOCUMENT.read_text() if DOCUMENT.exists() else "")}
    sections[name] = section
    body = "".join(f"<!-- measured: {key} -->\n{sections[key]}" for key in TITLES if key in sections)
    DOCUMENT.write_text(_HEAD + body.rstrip() + "\n")
    missed = [f"{goal.name}: {goal.seen}, wanted {goal.wanted}" for goal in goals if not goal.met]
    assert not missed, missed


def _circumstances(server: str) -> str:
    memory = psutil.virtual_memory().total / 2**30
    today = datetime.datetime.now(datetime.UTC).date()
    load = os.getloadavg()[1]
    note = BUSY_NOTE if load > BUSY else ""
    now = psutil.cpu_times()
    taken = (now.steal - _BEFORE.steal) / (sum(now) - sum(_BEFORE))  # Linux alone tells
    return (
        f"{today}: {psutil.cpu_count()} processors ({platform.machine()}), {memory:.0f} GiB, {server},"
        f" Python {platform.python_version()}; load over the last 5 minutes {load:.1f}, {taken:.1%} of the"
        f" processors' time taken by other virtual machines.{note}"
    )
