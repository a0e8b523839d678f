"""What stands around the demo's platform: an API, a mail server and blocklists that do as they are told."""

import smtplib
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import dns.message
import dns.query
import dns.rcode
import pytest

from demo.outside import BLOCKLIST, SENDERS, WARNLIST, Outside

FIRST, SECOND = SENDERS


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    with Outside() as three:
        yield three


def page(outside: Outside) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{outside.ports['api']}/health", timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def asked(outside: Outside, name: str, kind: str = "A") -> tuple[str, list[str]]:
    query = dns.message.make_query(name, kind)
    answer = dns.query.udp(query, "127.0.0.1", port=outside.ports["names"], timeout=10)
    return dns.rcode.to_text(answer.rcode()), [str(item) for rrset in answer.answer for item in rrset]


def reversed_ip(ip: str, zone: str = BLOCKLIST) -> str:
    return f"{'.'.join(reversed(ip.split('.')))}.{zone}"


def test_the_api_is_well_late_or_broken(outside: Outside) -> None:
    assert page(outside) == (200, b"ok\n")
    outside.api.delay = 0.2
    began = time.monotonic()
    assert page(outside)[0] == 200
    assert time.monotonic() - began >= 0.2
    outside.api.broken = True
    assert page(outside) == (503, b"out of order\n")
    outside.api.as_ever()
    assert page(outside) == (200, b"ok\n")


def test_the_mail_server_greets_and_takes_no_mail(outside: Outside) -> None:
    with smtplib.SMTP("127.0.0.1", outside.ports["mail"], timeout=10) as client:
        assert client.ehlo()[0] == 250
        assert client.noop()[0] == 250
        assert client.docmd("MAIL", "FROM:<a@example.com>")[0] == 502
    outside.mail.broken = True
    with pytest.raises(smtplib.SMTPConnectError):
        smtplib.SMTP("127.0.0.1", outside.ports["mail"], timeout=10)
    outside.mail.as_ever()


def test_blocklists_pass_their_test_and_list_whom_they_are_told_to(outside: Outside) -> None:
    for zone in (BLOCKLIST, WARNLIST):
        assert asked(outside, f"2.0.0.127.{zone}") == ("NOERROR", ["127.0.0.2"])
        assert asked(outside, f"1.0.0.127.{zone}") == ("NXDOMAIN", [])
    assert asked(outside, reversed_ip(FIRST)) == ("NXDOMAIN", [])
    outside.list_address(FIRST)
    assert asked(outside, reversed_ip(FIRST)) == ("NOERROR", ["127.0.0.2"])
    assert BLOCKLIST in asked(outside, reversed_ip(FIRST), "TXT")[1][0]
    assert asked(outside, reversed_ip(FIRST), "AAAA") == ("NOERROR", [])
    assert asked(outside, reversed_ip(SECOND)) == ("NXDOMAIN", [])
    assert asked(outside, reversed_ip(FIRST, WARNLIST)) == ("NXDOMAIN", [])
    outside.delist(FIRST)
    assert asked(outside, reversed_ip(FIRST)) == ("NXDOMAIN", [])


def test_of_other_zones_it_knows_nothing(outside: Outside) -> None:
    assert asked(outside, "example.org") == ("REFUSED", [])
