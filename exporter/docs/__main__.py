"""Writes docs/metrics.md and docs/configuration.md, or tells whether they are up to date."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from exporter.docs.configuration import configuration
from exporter.docs.metrics import metrics

PAGES = {"metrics.md": metrics, "configuration.md": configuration}
FOLDER = Path(__file__).parents[2] / "docs"


def main(arguments: Sequence[str] | None = None) -> int:
    """Answers the exit code: 1 if `--check` finds a page that is not as the code would have it."""
    parser = argparse.ArgumentParser(prog="python -m exporter.docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a page is out of date")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the pages are; by default %(default)s")
    options = parser.parse_args(arguments)
    if not options.folder.is_dir():
        parser.error(f"{options.folder} is no folder; name one with --folder")
    stale = 0
    for name, make in PAGES.items():
        page, wanted = options.folder / name, make()
        if page.is_file() and page.read_text(encoding="utf-8") == wanted:
            continue
        stale += 1
        if options.check:
            sys.stderr.write(f"{page} is out of date: run `make docs`\n")
        else:
            page.write_text(wanted, encoding="utf-8")
            sys.stdout.write(f"{page} written\n")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
