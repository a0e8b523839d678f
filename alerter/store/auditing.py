"""Who did what and when, for ever written down: nothing changes an entry."""

from __future__ import annotations

from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerter.store.schema import audit


class Deed(StrEnum):
    """What is written down."""

    ACKNOWLEDGED = "acknowledged"
    GIVEN_BACK = "given_back"
    REPLAYED = "replayed"
    RELOADED = "reloaded"
    RELOAD_REFUSED = "reload_refused"
    LOGIN_REFUSED = "login_refused"


def write_down(connection: Connection, who: str, what: Deed, detail: str, now: float) -> None:
    """An entry, in the transaction of the deed itself."""
    connection.execute(sa.insert(audit).values(at=now, who=who[:200], what=what, detail=detail[:2000]))
