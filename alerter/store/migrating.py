"""Alembic, for the rare start that finds tables of an older version, or none. Imported only then: it takes a while."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.engine import Connection

from alerter.store.failures import StoreUnusable


def upgrade(connection: Connection) -> None:
    """Makes the tables what they are now. Raises StoreUnusable if they are of a newer version."""
    config = Config()
    config.set_main_option("script_location", "alerter:store/migrations")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreUnusable(
            f"storage: its tables are of a newer version of Postwatch ({error}); use that version"
        ) from None
