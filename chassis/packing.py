"""One gzip stream out of parts that were compressed beforehand.

To compress ten thousand series at each scrape takes tens of milliseconds; to join what was compressed when it was
published takes one. Each part is deflated by itself and ends on a byte's border (RFC 1951, an empty stored block),
so that parts may follow each other in any order. The checksum is of the whole (RFC 1952), and made of those of the
parts, so that what has not changed since the last scrape is not read again.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import NamedTuple

_LEVEL = 1
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # deflate, no name, no time, unknown system
_LAST = b"\x03\x00"  # a last block, with nothing in it
_TRAILER = struct.Struct("<LL")
# Above 5 KiB zlib gives the interpreter's lock up; to get it back from busy threads takes longer than a slice.
_SLICE = 4096
_POLYNOMIAL = 0xEDB88320  # of CRC-32, lowest power first, as all polynomials here
_ONE, _X8 = 1 << 31, 1 << 23


class Piece(NamedTuple):
    """Bytes, and the same as a part of a gzip stream."""

    plain: bytes
    packed: bytes

    @classmethod
    def of(cls, plain: bytes) -> Piece:
        """`plain`, compressed."""
        deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        return cls(plain, deflate.compress(plain) + deflate.flush(zlib.Z_FULL_FLUSH))


class Stretch(NamedTuple):
    """Pieces joined, with what their share in a checksum takes."""

    plain: bytes
    packed: bytes
    checksum: int
    shift: int  # by which the checksum of what stands before is multiplied

    @classmethod
    def of(cls, pieces: Iterable[Piece]) -> Stretch:
        """The pieces, one behind the other."""
        pieces = tuple(pieces)
        plain = b"".join([piece.plain for piece in pieces])
        return cls(plain, b"".join([piece.packed for piece in pieces]), _checksum(plain), _power(len(plain)))


def unite(stretches: Iterable[Stretch]) -> bytes:
    """A gzip stream of all stretches, one behind the other."""
    checksum = length = 0
    parts = [_HEADER]
    for stretch in stretches:
        if len(stretch.plain) <= _SLICE:
            checksum = zlib.crc32(stretch.plain, checksum)
        else:
            checksum = _product(stretch.shift, checksum) ^ stretch.checksum
        length += len(stretch.plain)
        parts.append(stretch.packed)
    return b"".join((*parts, _LAST, _TRAILER.pack(checksum, length & 0xFFFFFFFF)))


def _checksum(plain: bytes) -> int:
    checksum = 0
    view = memoryview(plain)
    for start in range(0, len(plain), _SLICE):
        checksum = zlib.crc32(view[start : start + _SLICE], checksum)
    return checksum


def _product(a: int, b: int) -> int:
    """Two polynomials multiplied, by the remainder of that of CRC-32."""
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = (a << 1) & 0xFFFFFFFF
        b = (b >> 1) ^ _POLYNOMIAL if b & 1 else b >> 1
    return product


def _tables() -> tuple[tuple[int, ...], ...]:
    """By digit of a length in bytes, to the base of 256, and its value: x to the power of so many bits."""
    found = []
    step = _X8
    for _ in range(4):
        row = [_ONE]
        while len(row) < 256:
            row.append(_product(row[-1], step))
        found.append(tuple(row))
        step = _product(row[-1], step)
    return tuple(found)


_TABLES = _tables()


def _power(length: int) -> int:
    """The remainder of x to the power of the bits of `length` bytes: appending those multiplies a checksum by it."""
    power = _ONE
    for row, digit in zip(_TABLES, length.to_bytes(4, "little"), strict=True):
        if digit:
            power = _product(power, row[digit])
    return power
