"""What people see of reputation: the command, `check --connect`, the tables; and mail sent today, from PostgreSQL."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.model import Reason
from exporter.web.landing import _part
from tests.support.databases import Database
from tests.support.dns import Rbldnsd, Unbound, blocklist, reverse
from tests.support.exporter import Exporter, command
from tests.support.servers import free_port

IP, OTHER = "192.0.2.1", "192.0.2.2"
ZEN, MINE = "zen.spamhaus.org", "a.lists.example"
BROKEN = "broken.lists.example"


@pytest.fixture(scope="module")
def resolver() -> Iterator[str]:
    zones = {
        ZEN: blocklist({reverse(IP): ["127.0.0.2", "127.0.0.4"]}, {reverse(IP): "see https://check.spamhaus.org/x"}),
        MINE: blocklist({reverse(OTHER): ["127.0.0.2"]}),
        BROKEN: blocklist({}, tested=False),
    }
    with Rbldnsd(zones) as lists, Unbound(lists) as unbound:
        yield unbound.address


def given(resolver: str, *zones: Any, **more: Any) -> dict[str, Any]:
    return {
        "defaults": {"budget": "100%"},
        "reputation": {
            "timeout": "1s",
            "queries_per_second": 200,
            "resolvers": [resolver],
            "blocklists": [{"zone": zone} for zone in zones],
            "addresses": [{"ip": OTHER, "provider": "own"}, {"ip": IP, "provider": "aws"}],
            **more,
        },
    }


def write(folder: Path, config: dict[str, Any]) -> str:
    path = folder / "exporter.yml"
    path.write_text(yaml.safe_dump(config))
    return str(path)


def cells(text: str) -> list[list[str]]:
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]


# The command


def test_the_command_tells_what_each_list_says(resolver: str, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text(f'{{"version": 1, "listed_since": {{"{IP}": {{"{ZEN}": 1700000000}}}}}}')
    before = state.read_bytes()
    path = write(tmp_path, given(resolver, ZEN, MINE, BROKEN, state_file=str(state)))
    done = command("reputation", "--config", path)
    assert (done.returncode, done.stderr) == (1, "")
    heading, *lines = cells(done.stdout)
    assert heading == ["address", "list", "verdict", "code", "category", "reason", "since (UTC)", "delisting page"]
    assert lines[0] == [
        IP, ZEN, "listed", "127.0.0.2, 127.0.0.4", "SBL, XBL", "see https://check.spamhaus.org/x",
        "2023-11-14 22:13", "https://check.spamhaus.org/",
    ]  # fmt: skip
    assert lines[1] == [OTHER, MINE, "listed", "127.0.0.2", "unspecified"]
    assert sorted(lines[2:4]) == [
        [ip, BROKEN, "unknown", "it does not list its test entry 127.0.0.2"] for ip in (IP, OTHER)
    ]
    assert sorted(lines[4:]) == [[IP, MINE, "clean"], [OTHER, ZEN, "clean"]]
    assert state.read_bytes() == before


def test_the_command_asks_for_any_address(resolver: str, tmp_path: Path) -> None:
    path = write(tmp_path, given(resolver, ZEN, MINE))
    clean = command("reputation", "--config", path, "192.0.2.77")
    assert clean.returncode == 0
    assert [line[:3] for line in cells(clean.stdout)[1:]] == [["192.0.2.77", z, "clean"] for z in (ZEN, MINE)]
    assert command("reputation", "--config", path, f"::ffff:{IP}").returncode == 1


def test_the_command_says_that_nothing_is_known(resolver: str, tmp_path: Path) -> None:
    assert command("reputation", "--config", write(tmp_path, given(resolver, BROKEN))).returncode == 3
    nobody = f"127.0.0.1:{free_port()}"
    done = command("reputation", "--config", write(tmp_path, given(nobody, ZEN)))
    assert done.returncode == 3
    assert f"no resolver answers: {nobody}" in done.stderr


def test_the_command_needs_something_to_ask(tmp_path: Path) -> None:
    done = command("reputation", "--config", write(tmp_path, {"reputation": {"addresses": [{"ip": IP}]}}))
    assert (done.returncode, "no list to ask" in done.stderr) == (2, True)
    done = command("reputation", "--config", write(tmp_path, {"reputation": {"blocklists": [{"zone": ZEN}]}}))
    assert (done.returncode, "no address to ask for" in done.stderr) == (2, True)
    with pytest.raises(SystemExit) as ended:
        command("reputation", "--config", "x", "300.1.1.1")
    assert ended.value.code == 2


def test_its_help_tells_the_exit_codes() -> None:
    with pytest.raises(SystemExit) as ended:
        command("reputation", "--help")
    assert ended.value.code == 0


# Tables and `check --connect`


def test_tables_have_the_worst_first(resolver: str, tmp_path: Path) -> None:
    config = given(resolver, ZEN, MINE, BROKEN)
    done = command("sample", "--config", write(tmp_path, config), "reputation")
    assert done.returncode == 0
    lines = [line[0] for line in cells(done.stdout)[2:]]
    assert lines == [IP, OTHER, f"list {BROKEN}"]
    assert f"{ZEN} (SBL, XBL)" in done.stdout
    with Exporter(config) as exporter:
        exporter.look("reputation", source="")
        (part,) = exporter.watch.parts
        page = _part(part.table())
    assert page.index(IP) < page.index(OTHER) < page.index(BROKEN)
    assert 'class="state bad">listed' in page


def test_check_connect_tries_lists_and_resolvers(resolver: str, tmp_path: Path) -> None:
    fine = command("check", "--connect", "--config", write(tmp_path, given(resolver, ZEN)))
    assert fine.returncode == 0
    assert "it can be sampled, and nothing is missing" in fine.stdout
    path = write(tmp_path, given(resolver, ZEN, BROKEN, interval="1s", queries_per_second=4))
    some = command("check", "--connect", "--config", path)
    assert some.returncode == 0
    assert f"{BROKEN} cannot be used for ipv4: it does not list its test entry 127.0.0.2" in some.stdout
    assert "the interval of 1s cannot be held, it will be 2s" in some.stdout
    none = command("check", "--connect", "--config", write(tmp_path, given(resolver, BROKEN)))
    assert (none.returncode, "none of the lists can be used" in none.stdout) == (1, True)
    nobody = command("check", "--connect", "--config", write(tmp_path, given(f"127.0.0.1:{free_port()}", ZEN)))
    assert (nobody.returncode, "no resolver answers" in nobody.stdout) == (1, True)


def test_check_warns_of_what_the_file_alone_tells(tmp_path: Path) -> None:
    config = given("8.8.8.8", ZEN, state_file=str(tmp_path / "nowhere" / "state.json"))
    done = command("check", "--config", write(tmp_path, config))
    assert done.returncode == 0
    assert "Google's public resolver" in done.stdout
    assert "reputation.state_file" in done.stdout


# Sent today

SENDS = """
create table sends (ip inet, day date, host text);
insert into sends select '192.0.2.1', (now() at time zone 'utc')::date from generate_series(1, 7);
insert into sends values ('192.0.2.1', (now() at time zone 'utc')::date - 1);
insert into sends values ('198.51.100.9', (now() at time zone 'utc')::date);
"""
QUERY = "select ip, count(*) from sends where day = current_date group by ip"


@pytest.fixture
def sends(database: Database) -> Database:
    with database.connect() as owner:
        owner.execute(SENDS)
        # A day ahead of UTC or behind it, whatever the hour.
        owner.execute(f"alter database {database.name} set timezone = 'Etc/GMT-14'")
    return database


def sent(resolver: str, database: Database, query: str = QUERY, **more: Any) -> Exporter:
    today = {"postgres": database.server.url(database.name), "query": query, **more}
    return Exporter(given(resolver, ZEN, sent_today=today))


def test_mail_sent_today_by_address(resolver: str, sends: Database) -> None:
    with sent(resolver, sends) as exporter:
        samples = exporter.look("reputation", source="")
        outcome = exporter.watch.sampling.outcomes["reputation/"]
        assert outcome.source_seconds > 0
    assert samples.by("ip", "postwatch_ip_sent_today") == {IP: 7, OTHER: 0}
    assert samples.by("provider", "postwatch_ip_sent_today") == {"aws": 7, "own": 0}


def test_rows_that_make_no_sense_are_told_once(resolver: str, sends: Database) -> None:
    query = "select host, n from (values ('192.0.2.1', 3), ('mx.example', 4), (null, 5)) rows (host, n)"
    with sent(resolver, sends, query, interval="1s") as exporter:
        samples = exporter.look("reputation", source="")
        exporter.clock.monotonic_offset += 2
        exporter.look("reputation", source="")
        (line,) = exporter.logged("sent_today_rows_unreadable")
    assert samples.by("ip", "postwatch_ip_sent_today") == {IP: 3, OTHER: 0}
    assert line["rows"] == 2
    assert "mx.example" not in str(line)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("delete from sends returning ip, 1", None),
        ("select ip, 1 from nowhere", Reason.MISSING),
        ("select host(ip::inet), pg_sleep(60) from sends", Reason.TIMEOUT),
        ("select 1; drop table sends", Reason.MISMATCH),
    ],
)
def test_a_query_that_fails_is_a_failure_of_its_own(
    resolver: str, sends: Database, query: str, reason: Reason | None
) -> None:
    with sent(resolver, sends, query, timeout="1s") as exporter:
        outcome = exporter.run("reputation", source="")
        assert not outcome.up
        assert reason is None or outcome.failures[reason] == 1
        samples = exporter.samples()
    assert samples.value("postwatch_dnsbl_listed", ip=IP, blocklist=ZEN) == 1
    assert samples.get("postwatch_ip_sent_today", ip=IP) is None
    with sends.connect() as owner:
        assert owner.execute("select count(*) from sends").fetchone() == (9,)
