"""The command `postwatch-alerter`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from alerter.commands import deliveries, messages
from alerter.commands.check import check
from alerter.commands.example import BadLabels
from alerter.commands.routes import BadTime, CasesError, routes
from alerter.commands.run import run
from alerter.showing import VERSION
from alerter.store.engine import StoreFailed
from chassis.commandline import EXIT_SETTINGS, tell_mistakes, with_command
from chassis.secrets import SecretUnavailable
from chassis.settings import SettingsError

DESCRIPTION = """\
Takes alerts from Alertmanager in, loses none, and gets the right person told.

first steps:
  is the file right?
      postwatch-alerter check --config alerter.yml
  who would be told?
      postwatch-alerter routes --config alerter.yml --alert severity=critical
  does it reach me?
      postwatch-alerter send-test oncall --config alerter.yml
  run it, then point a webhook of Alertmanager to http://127.0.0.1:9798/webhook
      postwatch-alerter --config alerter.yml
"""

EPILOG = """\
exit codes: 0 done; 1 something could not be reached, or is not as expected; 2 a
mistake in the configuration or on the command line. SIGHUP, or a change of the
file, reloads it; SIGTERM ends within 10 seconds.
"""

COMMANDS = ("run", "check", "routes", "render", "send-test", "list", "retry")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    config = argparse.ArgumentParser(add_help=False)
    config.add_argument("--config", "-c", type=Path, metavar="FILE", required=True, help="the configuration, in YAML")
    labels = argparse.ArgumentParser(add_help=False)
    labels.add_argument(
        "--alert", action="append", default=[], metavar="LABELS", help="such as severity=critical,service=x"
    )
    main = argparse.ArgumentParser(
        prog="postwatch-alerter",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    main.add_argument("--version", action="version", version=f"postwatch-alerter {VERSION}")
    commands = main.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("run", parents=[config], help="run the daemon; the default")
    commands.add_parser("check", parents=[config], help="verify the configuration")
    routing = commands.add_parser("routes", parents=[config, labels], help="who would be told of an alert, and why")
    routing.add_argument("--cases", type=Path, metavar="FILE", help="alerts with expectations; 1 if one differs")
    routing.add_argument("--at", metavar="TIME", help="at this time (RFC 3339) instead of now, for quiet periods")
    rendering = commands.add_parser("render", parents=[config, labels], help="what a receiver would say")
    rendering.add_argument("receiver", metavar="RECEIVER")
    testing = commands.add_parser("send-test", parents=[config, labels], help="send a marked test message")
    testing.add_argument("receiver", metavar="RECEIVER")
    listing = commands.add_parser("list", parents=[config], help="show deliveries, the latest first")
    states = ("pending", "accepted", "superseded", "collapsed", "dead")
    listing.add_argument("--state", choices=states, metavar="STATE", help=f"only those: {', '.join(states)}")
    listing.add_argument("--receiver", metavar="RECEIVER", help="only those of this receiver")
    listing.add_argument("--limit", type=int, default=50, metavar="N", help="how many; 50 by default")
    replay = commands.add_parser("retry", parents=[config], help="play dead letters again")
    replay.add_argument("ids", nargs="*", type=int, metavar="ID", help="as `list --state dead` shows them")
    replay.add_argument("--all", action="store_true", help="all of them")
    replay.add_argument("--receiver", metavar="RECEIVER", help="with --all: those of this receiver")
    return main


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; answers the exit code."""
    options = parser().parse_args(with_command(arguments, COMMANDS))
    try:
        return _command(options)
    except SettingsError as error:
        return tell_mistakes(
            "postwatch-alerter", error, options.cases if isinstance(error, CasesError) else options.config
        )
    except (BadLabels, BadTime) as error:
        sys.stderr.write(f"postwatch-alerter: {error}\n")
        return EXIT_SETTINGS
    except (StoreFailed, SecretUnavailable) as error:
        sys.stderr.write(f"postwatch-alerter: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _command(options: argparse.Namespace) -> int:
    match options.command:
        case "check":
            return check(options.config)
        case "routes":
            return routes(options.config, options.alert, options.cases, options.at)
        case "render":
            return messages.render(options.config, options.receiver, options.alert)
        case "send-test":
            return messages.send_test(options.config, options.receiver, options.alert)
        case "list":
            return deliveries.listing(options.config, options.state, options.receiver, options.limit)
        case "retry":
            return deliveries.retry(options.config, options.ids, everything=options.all, receiver=options.receiver)
        case _:
            return run(options.config)


if __name__ == "__main__":
    sys.exit(main())
