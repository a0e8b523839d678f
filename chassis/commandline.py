"""What the command lines of daemons have in common: the daemon is the command where none is named."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from chassis.settings import SettingsError

EXIT_SETTINGS = 2  # a mistake in the configuration or on the command line


def with_command(arguments: Sequence[str] | None, commands: Collection[str]) -> list[str]:
    """The arguments of the process, or those given, with a command in front; `--help` where there are none.

    Options alone mean the daemon; before a command they mean the same as behind it.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0].startswith(("--config", "-c")):
        behind = 1 if given[0].startswith("--config=") else 2
        command = given.pop(behind) if given[behind : behind + 1] and given[behind] in commands else "run"
        given.insert(0, command)
    return given or ["--help"]


def tell_mistakes(program: str, error: SettingsError, file: Path) -> int:
    """Every mistake on a line of its own, then how many; answers the exit code."""
    for mistake in error.mistakes:
        sys.stderr.write(f"{mistake}\n")
    count = len(error.mistakes)
    sys.stderr.write(f"{program}: {count} mistake{'s' if count > 1 else ''} in {file}\n")
    return EXIT_SETTINGS
