"""What an answer of a list means."""

import pytest

from exporter.reputation import known
from exporter.reputation.known import LISTS, REFUSALS
from exporter.reputation.verdict import Response, Result, Rules, judge

ZEN = Rules(LISTS["zen.spamhaus.org"].codes)
ANY = Rules()


def answer(*addresses: str) -> Response:
    return Response("NOERROR", addresses)


@pytest.mark.parametrize(
    ("response", "result"),
    [
        (Response("NXDOMAIN"), Result.CLEAN),
        (Response("NOERROR"), Result.CLEAN),
        (Response("SERVFAIL"), Result.ERROR),
        (Response("REFUSED"), Result.ERROR),
        (Response("FORMERR"), Result.ERROR),
        (answer("127.0.0.2"), Result.LISTED),
        (answer("127.0.0.3", "127.0.0.10"), Result.LISTED),
        (answer("93.184.216.34"), Result.ERROR),
        (answer("127.0.0.2", "93.184.216.34"), Result.ERROR),
        (answer("0.0.0.0"), Result.ERROR),
        (answer("127.0.0.1"), Result.BLOCKED),
        (answer("127.255.255.252"), Result.BLOCKED),
        (answer("127.255.255.254"), Result.BLOCKED),
        (answer("127.255.255.255"), Result.BLOCKED),
        (answer("127.255.255.253"), Result.BLOCKED),
        (answer("127.0.1.255"), Result.BLOCKED),
        (answer("127.0.0.2", "127.255.255.254"), Result.BLOCKED),
    ],
)
@pytest.mark.parametrize("rules", [ZEN, ANY], ids=["defined", "any"])
def test_an_answer_means(response: Response, result: Result, rules: Rules) -> None:
    verdict = judge(response, rules)
    assert verdict.result is result
    assert bool(verdict.why) != result.true


def test_only_what_a_list_defines_is_a_listing() -> None:
    assert judge(answer("127.0.0.99"), ANY).result is Result.LISTED
    undefined = judge(answer("127.0.0.99"), ZEN)
    assert (undefined.result, undefined.codes) == (Result.ERROR, ())
    assert "127.0.0.99" in undefined.why
    assert judge(answer("127.0.0.99", "127.0.0.4"), ZEN).codes == ("127.0.0.4",)


def test_all_codes_in_their_order() -> None:
    assert judge(answer("127.0.0.10", "127.0.0.2", "127.0.0.4"), ZEN).codes == ("127.0.0.2", "127.0.0.4", "127.0.0.10")


def test_a_code_that_is_defined_is_no_refusal() -> None:
    assert judge(answer("127.0.0.1"), Rules({"127.0.0.1": "bad"})).result is Result.LISTED


@pytest.mark.parametrize(
    ("code", "category"),
    [("127.0.0.2", "SBL"), ("127.0.0.3", "CSS"), ("127.0.0.4", "XBL"), ("127.0.0.9", "DROP"), ("127.0.0.10", "PBL"),
     ("127.0.0.11", "PBL"), ("127.0.0.30", "BCL"), ("127.0.0.77", "unspecified")],
)  # fmt: skip
def test_categories_of_spamhaus(code: str, category: str) -> None:
    assert ZEN.category(code) == category


def test_no_refusal_is_a_listing_of_any_known_list() -> None:
    assert all(not set(REFUSALS) & set(facts.codes) for facts in LISTS.values())


# What is known of lists


def test_a_customers_zone_is_known_by_its_end() -> None:
    assert known.known("abcdefghijklmnopqrstuvwxyz.zen.dq.spamhaus.net") is LISTS["zen.dq.spamhaus.net"]
    assert known.known("notzen.spamhaus.org").codes == {}


@pytest.mark.parametrize("zone", ["dnsbl.sorbs.net", "spam.dnsbl.sorbs.net", "sorbs.net", "ix.dnsbl.manitu.net"])
def test_dead_lists_are_known(zone: str) -> None:
    assert "shut down" in known.dead(zone)


@pytest.mark.parametrize("zone", ["zen.spamhaus.org", "notsorbs.net", "dnsbl.manitu.net"])
def test_living_lists_are_not_dead(zone: str) -> None:
    assert known.dead(zone) == ""


@pytest.mark.parametrize(
    ("zone", "key"),
    [
        ("zen.spamhaus.org", ""),
        ("zen.dq.spamhaus.net", ""),
        ("k3y.zen.dq.spamhaus.net", "k3y"),
        ("k3y.combined.mail.abusix.zone", "k3y"),
        ("combined.mail.abusix.zone", ""),
        ("abcdefghij0123456789.lists.example", "abcdefghij0123456789"),
        ("b.barracudacentral.org", ""),
    ],
)
def test_a_paid_key_is_seen(zone: str, key: str) -> None:
    assert known.paid_key(zone) == key


def test_ranges_weigh_less_than_addresses() -> None:
    weights = [LISTS[f"dnsbl-{n}.uceprotect.net"].weight for n in (2, 3)]
    assert weights == sorted(weights, key=lambda w: -(w or 0))
    assert all(weight is not None and weight < 15 for weight in weights)


def test_every_known_list_says_where_to_ask_for_removal() -> None:
    assert all(facts.delisting.startswith("https://") for facts in LISTS.values())
    assert {facts.severity for facts in LISTS.values()} == {"critical", "warning"}
