"""A gzip stream out of parts: what any reader of gzip makes of it is the whole."""

import gzip
import zlib

import pytest

from chassis.packing import pack, unite

PARTS = [b"", b"# HELP a b\n", b'a{b="c"} 1.0\n' * 5_000, bytes(range(256)) * 300, b"\n"]


@pytest.mark.parametrize("parts", [[], PARTS, PARTS[::-1], PARTS * 40])
def test_what_was_packed_apart_is_read_as_one(parts: list[bytes]) -> None:
    whole = b"".join(parts)
    stream = unite(map(pack, parts), whole)
    assert gzip.decompress(stream) == whole
    # A reader that knows of no further members (httpx, curl) gets all of it too.
    reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert reader.decompress(stream) == whole
    assert reader.eof
    assert reader.unused_data == b""


def test_parts_do_not_lean_on_each_other() -> None:
    same = b'postwatch_queue_depth{queue="email-sending"} 12.0\n' * 20
    other = b'postwatch_queue_depth{queue="analytics"} 1.0\n' * 20
    packed = {plain: pack(plain) for plain in (same, other)}
    for order in ([same, other, same], [other, same, same], [same]):
        assert gzip.decompress(unite((packed[plain] for plain in order), b"".join(order))) == b"".join(order)


def test_a_checksum_of_something_else_is_noticed() -> None:
    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(unite([pack(b"a")], b"b"))
