"""Writes the chart's generated files, or tells whether they are up to date."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from helm.generate.files import FOLDERS, files

REPOSITORY = Path(__file__).parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Answers the exit code: 1 if `--check` finds a file that is not as it would be made."""
    parser = argparse.ArgumentParser(prog="python -m helm.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file is out of date")
    options = parser.parse_args(arguments)
    wanted = files(REPOSITORY)
    stale = [path for path, content in wanted.items() if not path.is_file() or path.read_bytes() != content]
    left = [path for folder in FOLDERS for path in (REPOSITORY / folder).glob("*") if path not in wanted]
    if options.check:
        for path in (*stale, *left):
            sys.stderr.write(f"{path.relative_to(REPOSITORY)} is out of date: run `make chart`\n")
        return 1 if stale or left else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wanted[path])
        sys.stdout.write(f"{path.relative_to(REPOSITORY)} written\n")
    for path in left:
        path.unlink()
        sys.stdout.write(f"{path.relative_to(REPOSITORY)} removed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
