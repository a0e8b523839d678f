"""Secrets as Helm sends them when it keeps a release: in the protocol buffers of Kubernetes' API."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from tests.helm.chart import Manifest

MAGIC = b"k8s\0"


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Fields of a message by their numbers; those that are numbers are passed over."""
    at = 0
    while at < len(data):
        tag, at = _number(data, at)
        value, at = _number(data, at)
        if tag & 7 == 2:
            yield tag >> 3, data[at : at + value]
            at += value


def _texts(data: bytes, field: int) -> dict[str, bytes]:
    """A map, whose entries are messages of key and value."""
    entries = [dict(_fields(value)) for number, value in _fields(data) if number == field]
    return {each.get(1, b"").decode(): each.get(2, b"") for each in entries}


def secret(data: bytes) -> Manifest:
    """The Secret in a request's body (k8s.io/api/core/v1/generated.proto)."""
    assert data.startswith(MAGIC)
    unknown = dict(_fields(data.removeprefix(MAGIC)))
    kind = {number: value.decode() for number, value in _fields(unknown[1])}
    body = dict(_fields(unknown[2]))
    head = dict(_fields(body[1]))
    return {
        "apiVersion": kind[1],
        "kind": kind[2],
        "metadata": {
            "name": head[1].decode(),
            "labels": {key: value.decode() for key, value in _texts(body[1], 11).items()},
        },
        "type": body[3].decode(),
        "data": {key: base64.b64encode(value).decode() for key, value in _texts(unknown[2], 2).items()},
    }
