"""host:port."""

import pytest

from chassis.address import Address


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback", "wildcard"),
    [
        ("127.0.0.1:9797", "127.0.0.1", 9797, True, False),
        ("127.8.8.8:1", "127.8.8.8", 1, True, False),
        ("[::1]:9797", "::1", 9797, True, False),
        ("localhost:0", "localhost", 0, True, False),
        (":9797", "", 9797, False, True),
        ("0.0.0.0:9797", "0.0.0.0", 9797, False, True),
        ("[::]:9797", "::", 9797, False, True),
        ("metrics.example.com:443", "metrics.example.com", 443, False, False),
    ],
)
def test_an_address_is_read(text: str, host: str, port: int, loopback: bool, wildcard: bool) -> None:
    address = Address.parse(text)
    assert (address.host, address.port) == (host, port)
    assert (address.is_loopback, address.is_wildcard) == (loopback, wildcard)
    assert str(address) == text


@pytest.mark.parametrize(
    "value", ["9797", 9797, "::1:9797", "host", "host:", "host:65536", "a b:1", "http://h:1", None]
)
def test_what_is_no_address_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"is no address; write e\.g\. 127\.0\.0\.1:9797"):
        Address.parse(value)
