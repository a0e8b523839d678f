"""The alerter with SQLite's `synchronous=OFF`: what durability costs is the difference."""

import sys
from unittest.mock import patch

from sqlalchemy import event
from sqlalchemy.engine import URL

from alerter.__main__ import main
from alerter.store.file import OwnFile


class UndurableFile(OwnFile):
    """As the store makes it, but commits wait for no disk."""

    def __init__(self, url: URL) -> None:
        super().__init__(url)
        event.listen(self.engine, "connect", lambda connection, _record: connection.execute("PRAGMA synchronous=OFF"))


if __name__ == "__main__":
    with patch("alerter.store.engine.OwnFile", UndurableFile):
        sys.exit(main(sys.argv[1:]))
