"""Writes docs/alerter-metrics.md and docs/alerter-configuration.md, or tells whether they are up to date."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from alerter.docs.configuration import configuration
from alerter.docs.metrics import metrics
from chassis.pages import write

PAGES = {"alerter-metrics.md": metrics, "alerter-configuration.md": configuration}


def main(arguments: Sequence[str] | None = None) -> int:
    """Answers the exit code: 1 if `--check` finds a page that is not as the code would have it."""
    return write(PAGES, Path(__file__).parents[2] / "docs", "python -m alerter.docs", arguments)


if __name__ == "__main__":
    sys.exit(main())
