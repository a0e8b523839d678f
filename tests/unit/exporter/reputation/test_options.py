"""The section `reputation`: what it accepts, what it refuses and in which words, and what it never shows."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis.secrets import redact
from chassis.settings import SettingsError, parse, secrets_in, warnings
from exporter import reputation
from exporter.reputation import Section
from exporter.reputation.blocklists import Blocklist, ZoneUnusable
from exporter.reputation.options import BlocklistOptions, ReputationOptions

KEY = "abcdefghijklmnopqrstuvwxyz"


def section(**options: Any) -> Section:
    return parse(yaml.safe_dump({"reputation": options}), Section, {})


def options(**given: Any) -> ReputationOptions:
    found = section(**given).reputation
    assert found is not None
    return found


def blocklist(**given: Any) -> BlocklistOptions:
    return options(blocklists=[given]).blocklists[0]


def mistakes(**given: Any) -> dict[str, str]:
    with pytest.raises(SettingsError) as refused:
        section(**given)
    return {mistake.path.removeprefix("reputation."): mistake.message for mistake in refused.value.mistakes}


def test_nothing_has_to_be_said() -> None:
    assert options().interval == 1800
    assert options().queries_per_second == 20
    assert parse("{}", Section, {}).reputation is None


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("127.0.0.1:5353", "127.0.0.1:5353"),
        ("10.0.0.2", "10.0.0.2:53"),
        ("::1", "[::1]:53"),
        ("[::1]:5353", "[::1]:5353"),
        ("unbound:53", "unbound:53"),
    ],
)
def test_ways_to_name_a_resolver(given: str, address: str) -> None:
    assert [str(each) for each in options(resolvers=[given]).resolvers] == [address]


@pytest.mark.parametrize("given", ["unbound", ":53", "127.0.0.1:0", "127.0.0.1:99999", "", 53])
def test_what_is_no_resolver(given: object) -> None:
    assert list(mistakes(resolvers=[given])) == ["resolvers[0]"]


@pytest.mark.parametrize(
    ("zone", "why"),
    [
        ("dnsbl.sorbs.net", "SORBS was shut down in June 2024"),
        ("IX.dnsbl.manitu.net.", "NiX Spam was shut down in January 2025"),
        ("nozone", "not the name of a DNS zone"),
        ("bad zone.example", "not the name of a DNS zone"),
        ("-a.example", "not the name of a DNS zone"),
        (f"{'a.' * 120}example", "not the name of a DNS zone"),
    ],
)
def test_zones_that_are_refused(zone: str, why: str) -> None:
    assert why in mistakes(blocklists=[{"zone": zone}])["blocklists[0].zone"]


def test_all_mistakes_at_once() -> None:
    found = mistakes(
        interval="0s",
        blocklists=[{"zone": "a.example", "severity": "high", "families": []}, {"zone": "b.example", "weight": 101}],
        addresses=[{"ip": "300.1.1.1"}, {"ip": "fe80::1%eth0"}, {"ip": "192.0.2.1", "labels": {"ip": "x"}}],
        sent_today={"postgres": "postgresql://db/mail"},
    )
    assert set(found) == {
        "interval", "blocklists[0].severity", "blocklists[0].families", "blocklists[1].weight", "addresses[0].ip",
        "addresses[1].ip", "addresses[2].labels", "sent_today.query",
    }  # fmt: skip


def test_the_same_twice_is_a_mistake() -> None:
    assert "named 'a.example'" in mistakes(blocklists=[{"zone": "a.example"}, {"zone": "A.example."}])["blocklists"]
    assert "given twice" in mistakes(addresses=[{"ip": "192.0.2.1"}, {"ip": "::ffff:192.0.2.1"}])["addresses"]


def test_test_entries_are_of_their_family() -> None:
    given = {"zone": "a.example", "test": {"ipv6": {"listed": "127.0.0.2", "clean": "::1"}}}
    assert "127.0.0.2 is no address of ipv6" in mistakes(blocklists=[given])["blocklists[0].test.ipv6"]


# A key that is paid for


def test_a_zone_with_a_key_needs_a_name_and_is_not_quoted() -> None:
    for given in ({"zone": f"{KEY}.zen.dq.spamhaus.net"}, {"zone_file": "/nowhere"}):
        found = mistakes(blocklists=[given])
        assert "needs a `name`" in found["blocklists[0].zone"]
        assert KEY not in str(found)


def test_a_broken_zone_is_not_quoted_either() -> None:
    assert KEY not in str(mistakes(blocklists=[{"name": "dqs", "zone": f"{KEY}!.zen.dq.spamhaus.net"}]))


def test_a_key_is_masked_wherever_it_would_show() -> None:
    settings = section(blocklists=[{"name": "dqs", "zone": f"{KEY.upper()}.zen.dq.spamhaus.net"}])
    found = [secret for _, secret in secrets_in(settings)]
    told = redact(f"asked 2.0.0.127.{KEY}.zen.dq.spamhaus.net, by {KEY} and {KEY.upper()}.zen.dq.spamhaus.net", found)
    assert KEY not in told.lower()
    assert KEY not in repr(settings).lower()


def test_a_plain_zone_is_no_secret() -> None:
    found = [secret for _, secret in secrets_in(section(blocklists=[{"zone": "zen.spamhaus.org"}]))]
    assert redact("zen.spamhaus.org", found) == "zen.spamhaus.org"


def test_a_zone_from_a_file_is_read_when_it_is_used(tmp_path: Path) -> None:
    file = tmp_path / "zone"
    made = Blocklist(blocklist(name="dqs", zone_file=str(file)), ("ipv4",))
    with pytest.raises(ZoneUnusable, match="No such file"):
        made.zone()
    file.write_text(f"{KEY}.zen.dq.spamhaus.net\n")
    assert made.zone() == f"{KEY}.zen.dq.spamhaus.net"
    assert Blocklist(made.options, ("ipv4",)).rules.category("127.0.0.2") == "SBL"
    assert KEY not in redact(f"x {KEY} y", [made.options.zone])
    file.write_text("dnsbl.sorbs.net")
    with pytest.raises(ZoneUnusable, match="SORBS"):
        made.zone()


def test_a_lists_own_words_are_one_line_without_its_key() -> None:
    made = Blocklist(blocklist(name="dqs", zone=f"{KEY}.zen.dq.spamhaus.net"), ("ipv4",))
    said = made.reason((f"see\n\x1b[31mhttp://x/{KEY}", "y" * 1000))
    assert said.startswith("see [31mhttp://x/*** | yyy")
    assert len(said) == 300


# What is known of lists, and what the configuration says instead


def test_what_is_known_of_a_list_is_its_default() -> None:
    zen = Blocklist(blocklist(zone="zen.spamhaus.org"), ("ipv4",))
    assert (zen.tier, zen.weight, zen.rules.category("127.0.0.4")) == ("critical", 40, "XBL")
    other = Blocklist(blocklist(zone="a.example"), ("ipv4",))
    assert (other.tier, other.weight, other.delisting) == ("warning", 15, "")


def test_the_configuration_goes_first() -> None:
    given = {"zone": "zen.spamhaus.org", "severity": "warning", "weight": 7, "delisting": "https://x",
             "codes": {"127.0.0.9": "ours"}}  # fmt: skip
    zen = Blocklist(blocklist(**given), ("ipv4",))
    assert (zen.tier, zen.weight, zen.delisting, dict(zen.rules.codes)) == (
        "warning",
        7,
        "https://x",
        {"127.0.0.9": "ours"},
    )


def test_a_list_is_asked_for_its_families_alone() -> None:
    assert Blocklist(blocklist(zone="a.example", families=["ipv4"]), ("ipv4", "ipv6")).families == ("ipv4",)
    assert Blocklist(blocklist(zone="a.example"), ("ipv6",)).families == ("ipv6",)


# Warnings of `check`


def test_public_resolvers_are_warned_of() -> None:
    (told,) = reputation.warnings(section(resolvers=["127.0.0.1", "8.8.8.8"], blocklists=[], addresses=[]))
    assert told.path == "reputation.resolvers[1]"
    assert "Google's public resolver" in told.message


def test_half_a_configuration_is_warned_of() -> None:
    paths = [told.path for told in reputation.warnings(section(addresses=[{"ip": "192.0.2.1"}]))]
    assert paths == ["reputation.blocklists"]
    paths = [told.path for told in reputation.warnings(section(blocklists=[{"zone": "a.example"}]))]
    assert paths == ["reputation.addresses"]


def test_a_state_file_that_cannot_be_written_is_warned_of(tmp_path: Path) -> None:
    assert warnings(section(state_file=str(tmp_path / "state.json"))) == []
    (told,) = warnings(section(state_file=str(tmp_path / "nowhere" / "state.json")))
    assert told.path == "reputation.state_file"
    assert "there is no folder" in told.message
    (told,) = warnings(section(state_file=str(tmp_path)))
    assert "is a folder" in told.message
