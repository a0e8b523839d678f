"""`state_file`: since when addresses are listed, so that a restart does not forget it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

VERSION = 1
LARGEST = 16 << 20  # bytes; beyond that it is no file of ours

Since = dict[tuple[str, str], float]  # epoch seconds by address and name of the list


class StateUnusable(Exception):
    """The file is there and cannot be used; the text says why."""


def load(path: Path) -> Since:
    """What the file says; nothing if there is none yet. Raises StateUnusable."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StateUnusable(error.strerror or type(error).__name__) from None
    if len(content) > LARGEST:
        raise StateUnusable("too large for a state file")
    try:
        data = json.loads(content)
        if data["version"] != VERSION:
            raise StateUnusable(f"of version {data['version']!r}; this one reads version {VERSION}")
        return {
            (str(ip), str(blocklist)): float(since)
            for ip, listings in data["listed_since"].items()
            for blocklist, since in listings.items()
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise StateUnusable("not a state file of ours") from None


def save(path: Path, since: Mapping[tuple[str, str], float]) -> None:
    """Replace the file at once: whoever reads it sees the old one or the new one, whole. Raises OSError."""
    listed: dict[str, dict[str, float]] = {}
    for (ip, blocklist), moment in sorted(since.items()):
        listed.setdefault(ip, {})[blocklist] = round(moment, 3)
    text = json.dumps({"version": VERSION, "listed_since": listed}, indent=1) + "\n"
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
