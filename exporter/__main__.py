"""The command `postwatch-exporter`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from chassis.commandline import tell_mistakes, with_command
from chassis.settings import SettingsError
from exporter.app import VERSION
from exporter.commands.check import check
from exporter.commands.metrics import metrics
from exporter.commands.reputation import reputation
from exporter.commands.run import run
from exporter.commands.sample import sample
from exporter.reputation.names import Ip, read

DESCRIPTION = """\
Samples job queues on PostgreSQL and Redis into Prometheus metrics, read-only
and within a budget.

first steps:
  is the file right?
      postwatch-exporter check --config postwatch.yml
  are tables, columns, rights and indexes there?
      postwatch-exporter check --connect --config postwatch.yml
  what does it see? a table of the queues, once:
      postwatch-exporter sample --config postwatch.yml
  run it, then open http://127.0.0.1:9797/
      postwatch-exporter --config postwatch.yml
"""

EXAMPLE = """\
the smallest configuration:
  queues:
    - name: mail
      kind: hybrid
      postgres: ${MAIL_DATABASE_URL}
      redis: redis://127.0.0.1:6379/0
      schema: penguinmails

exit codes: 0 done; 1 something could not be reached or listened on; 2 a mistake
in the configuration or on the command line. SIGHUP, or a change of the file,
reloads it; SIGTERM ends within 10 seconds. All settings: docs/configuration.md
"""


RUN = """\
Samples in the background and serves /metrics, /health and a page for people, until SIGTERM or Ctrl-C.
SIGHUP, or a change of the file, reloads it: all of it holds, or nothing changes.
"""

CHECK = """\
Reads the file and names all mistakes at once. With --connect it also looks at each source, and says which
tables, columns, rights or indexes are missing, what that means, and the SQL to ask for.
"""

SAMPLE = """\
Looks once at each source and prints a table of its queues: what waits and since when, what runs, what is
scheduled for later, failed rows still stored, and the length of the list in Redis.
"""

METRICS = """\
Prints each metric with its labels, meaning, type and unit. docs/metrics.md has more: how its figures are
come by, how fresh they are, and an example query.
"""

REPUTATION = """\
Asks each blocklist of the configuration once, for its addresses or for any other, and prints what it says: its
code and what that means, its reason, since when (as the state file knows), and the page to ask for removal.
Questions are spaced as in the daemon. A list that fails its test is not believed. Nothing is written.

exit codes: 0 no list that answered lists an address; 1 at least one does; 2 nothing to ask, or a mistake in the
configuration or on the command line; 3 no list truly answered
"""

COMMANDS = ("run", "check", "sample", "metrics", "reputation")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    config = argparse.ArgumentParser(add_help=False)
    config.add_argument("--config", "-c", type=Path, metavar="FILE", required=True, help="the configuration, in YAML")
    main = argparse.ArgumentParser(
        prog="postwatch-exporter",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    main.add_argument("--version", action="version", version=f"postwatch-exporter {VERSION}")
    commands = main.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("run", parents=[config], help="run the daemon; the default", description=RUN)
    checking = commands.add_parser("check", parents=[config], help="verify the configuration", description=CHECK)
    checking.add_argument(
        "--connect", action="store_true", help="also look at the sources: tables, columns, rights, indexes"
    )
    sampling = commands.add_parser(
        "sample", parents=[config], help="sample once and show the queues", description=SAMPLE
    )
    sampling.add_argument("source", nargs="?", metavar="SOURCE", help="only this source; by default all")
    sampling.add_argument(
        "--format",
        choices=("table", "prometheus"),
        default="table",
        help="a table for people, or the exposition",
    )
    asking = commands.add_parser(
        "reputation",
        parents=[config],
        help="ask the blocklists for addresses, once",
        description=REPUTATION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    asking.add_argument("ip", nargs="?", type=_ip, metavar="IP", help="this address; by default the configured ones")
    commands.add_parser("metrics", help="list every metric with its meaning", description=METRICS)
    return main


def _ip(text: str) -> Ip:
    try:
        return read(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no IP address") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; answers the exit code."""
    options = parser().parse_args(with_command(arguments, COMMANDS))
    try:
        match options.command:
            case "check":
                return check(options.config, connect=options.connect)
            case "sample":
                return sample(options.config, options.source, options.format)
            case "metrics":
                return metrics()
            case "reputation":
                return reputation(options.config, options.ip)
            case _:
                return run(options.config)
    except SettingsError as error:
        return tell_mistakes("postwatch-exporter", error, options.config)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
