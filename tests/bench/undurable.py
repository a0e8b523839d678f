"""The alerter with SQLite's `synchronous=OFF`: what durability costs is the difference."""

import sys

from sqlalchemy import event
from sqlalchemy.engine import URL, Engine

from alerter.__main__ import main
from alerter.store import engine

_made = engine._sqlite


def undurable(url: URL) -> Engine:
    """As the store makes it, but commits wait for no disk."""
    made = _made(url)
    event.listen(made, "connect", lambda connection, _record: connection.execute("PRAGMA synchronous=OFF"))
    return made


if __name__ == "__main__":
    engine._sqlite = undurable
    sys.exit(main(sys.argv[1:]))
