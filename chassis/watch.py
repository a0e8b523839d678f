"""Notices that files changed, by looking: works on every file system and through symbolic links."""

from collections.abc import Iterable
from pathlib import Path

Stamp = tuple[int, int, int, int] | None


class FileWatch:
    """Compares the stamps of files, following links, so that Kubernetes' swap of a ConfigMap's link counts.

    A change counts once it has stood still between two looks: a file half written is not read.
    """

    settling = 0.2
    """Seconds to wait until the next look while `changing`."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._known = {path: stamp(path) for path in paths}
        self._candidate = self._known

    @property
    def changing(self) -> bool:
        """Whether the last look saw a change that may not be complete."""
        return self._candidate != self._known

    def changed(self, paths: Iterable[Path]) -> bool:
        """Looks at `paths`; whether one changed, and settled, since the last time it answered so."""
        seen = {path: stamp(path) for path in paths}
        # What is watched changes with the configuration; a path that is new has not changed.
        self._known = {path: self._known.get(path, now) for path, now in seen.items()}
        settled = seen == {path: self._candidate.get(path, now) for path, now in seen.items()}
        self._candidate = seen
        if seen == self._known or not settled:
            return False
        self._known = seen
        return True


def stamp(path: Path) -> Stamp:
    """What changes with a file's content: device, inode, time of change, size; None if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
