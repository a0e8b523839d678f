"""A gzip stream out of parts: what any reader of gzip makes of it is the whole."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.packing import Piece, Stretch, unite

PARTS = [b"", b"# HELP a b\n", b'a{b="c"} 1.0\n' * 5_000, bytes(range(256)) * 300, b"\n"]


def stream_of(*stretches: list[bytes]) -> bytes:
    return unite(Stretch.of(map(Piece.of, parts)) for parts in stretches)


@pytest.mark.parametrize("parts", [[], PARTS, PARTS[::-1], PARTS * 40])
def test_what_was_packed_apart_is_read_as_one(parts: list[bytes]) -> None:
    whole = b"".join(parts)
    for stream in (stream_of(parts), stream_of(*([part] for part in parts)), stream_of(parts[:2], [], parts[2:])):
        assert gzip.decompress(stream) == whole
        # A reader that knows of no further members (httpx, curl) gets all of it too.
        reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
        assert reader.decompress(stream) == whole
        assert reader.eof
        assert reader.unused_data == b""


def test_parts_do_not_lean_on_each_other() -> None:
    same = b'postwatch_queue_depth{queue="email-sending"} 12.0\n' * 20
    other = b'postwatch_queue_depth{queue="analytics"} 1.0\n' * 20
    packed = {plain: Stretch.of([Piece.of(plain)]) for plain in (same, other)}
    for order in ([same, other, same], [other, same, same], [same]):
        assert gzip.decompress(unite(packed[plain] for plain in order)) == b"".join(order)


SIZES = st.one_of(st.integers(0, 300), st.integers(4_000, 4_200), st.integers(60_000, 70_000))


@given(st.lists(st.lists(st.builds(lambda size, seed: seed * (size // 5 + 1), SIZES, st.binary(min_size=5, max_size=5)),
                         max_size=4), max_size=6))  # fmt: skip
def test_the_checksum_is_that_of_the_whole(stretches: list[list[bytes]]) -> None:
    whole = b"".join(part for parts in stretches for part in parts)
    trailer = stream_of(*stretches)[-8:]
    assert trailer == zlib.crc32(whole).to_bytes(4, "little") + len(whole).to_bytes(4, "little")
