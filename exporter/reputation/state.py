"""`state_file`: since when addresses are listed, so that a restart does not forget it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from chassis.clock import Clock
from chassis.log import Repeats, get_logger

VERSION = 1
LARGEST = 16 << 20  # bytes; beyond that it is no file of ours

SAVE_AGAIN = 60.0  # seconds until a file that could not be written is tried again

Since = dict[tuple[str, str], float]  # epoch seconds by address and name of the list

log = get_logger(__name__)


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


class Memory:
    """Since when which pairs are listed, kept in the file if there is one. Not to be used by two threads at once."""

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._repeats = Repeats(log)
        self._since: Since = {}
        self._unsaved = False
        self._save_at = 0.0  # monotonic
        if path is not None:
            try:
                self._since = load(path)
            except StateUnusable as error:
                self._repeats.failed("load", "state_file_unreadable", reason=str(error), path=str(path))

    def continue_from(self, before: Memory) -> None:
        """Take over what another one knew."""
        self._since |= before._since
        self._unsaved = True

    def listed(self, ip: str, blocklist: str, since: float | None) -> float | None:
        """Since when it has been listed: what is remembered, else `since`, which is remembered then."""
        remembered = self._since.get((ip, blocklist))
        if remembered is None and since is not None:
            self._since[ip, blocklist] = since
            self._unsaved = True
        return since if remembered is None else remembered

    def clean(self, ip: str, blocklist: str) -> None:
        """It is listed no more."""
        if self._since.pop((ip, blocklist), None) is not None:
            self._unsaved = True

    def due(self, *, last: bool = False) -> bool:
        """Whether there is something to save, and it is time; the last time always is."""
        return self._path is not None and self._unsaved and (last or self._clock.monotonic() >= self._save_at)

    def copy(self, addresses: Collection[str], lists: Collection[str]) -> Since:
        """What is known of these alone; the others are forgotten."""
        self._since = {key: at for key, at in self._since.items() if key[0] in addresses and key[1] in lists}
        self._unsaved = False
        return dict(self._since)

    def save(self, known: Since) -> None:
        """Write what `copy` told. A failure is logged, and the file tried again later."""
        if self._path is None:
            return
        try:
            save(self._path, known)
        except OSError as error:
            self._unsaved, self._save_at = True, self._clock.monotonic() + SAVE_AGAIN
            reason = error.strerror or type(error).__name__
            self._repeats.failed("save", "state_file_unwritable", reason=reason, path=str(self._path))
        else:
            self._repeats.recovered("save", "state_file_writable", path=str(self._path))
