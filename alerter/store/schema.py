"""The tables. A change here needs a migration; a test compares both.

Times are seconds since the epoch. JSON stands as text, since nothing asks the store to look inside.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Double,
    FromClause,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    and_,
    literal_column,
    or_,
    text,
)

metadata = MetaData()

REVISION = "0001"  # of the newest migration

Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up in a column of type INTEGER alone

episodes = Table(
    "episodes",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("key", String(64), nullable=False),  # the alert's, model.alert_key
    Column("latest", Boolean, nullable=False),  # of this alert
    Column("source", Text, nullable=False),
    Column("fingerprint", String(128), nullable=False),
    Column("group_id", String(64), nullable=False),
    Column("group_key", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("service", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("annotations", Text, nullable=False),
    Column("content", String(64), nullable=False),  # digest of what a person is told
    Column("generator_url", Text, nullable=False),
    Column("external_url", Text, nullable=False),
    Column("starts_at", Double, nullable=False),
    Column("ends_at", Double),
    Column("received_at", Double, nullable=False),
    Column("changed_at", Double, nullable=False),  # by anything that the feed shows
    Column("ended_at", Double),
    Column("ended_by", Text, nullable=False, server_default=""),
    Column("note", Text, nullable=False, server_default=""),
    Column("because", Text, nullable=False, server_default=""),  # why these were told, or nobody
    Column("acknowledged_at", Double),
    Column("acknowledged_by", Text, nullable=False, server_default=""),
    Column("escalate_at", Double),  # the next escalation, if any is left
    Column("escalations", Text, nullable=False, server_default="[]"),  # [[at, [receiver, …]], …]
    Index("episodes_latest", "key", unique=True, sqlite_where=text("latest"), postgresql_where=text("latest")),
    Index("episodes_changed", "changed_at"),
    Index("episodes_received", "received_at"),
    Index("episodes_group", "group_id"),
    Index(
        "episodes_escalate",
        "escalate_at",
        sqlite_where=text("escalate_at IS NOT NULL"),
        postgresql_where=text("escalate_at IS NOT NULL"),
    ),
    Index(
        "episodes_firing",
        "source",
        sqlite_where=text("status = 'firing'"),
        postgresql_where=text("status = 'firing'"),
    ),
)

tellings = Table(
    "tellings",
    metadata,
    Column("episode_id", Id, primary_key=True, autoincrement=False),
    Column("receiver", String(63), primary_key=True),
    Column("role", String(16), nullable=False),  # route, fallback, escalation
    Column("told_at", Double),  # when its trigger was accepted
    Column("fallback_at", Double),  # when others are told, if it is not accepted by then
    Column("fallback", Text, nullable=False, server_default="[]"),
    Column("repeat_at", Double),
    Column("repeat_every", Double),
    Column("storm", String(64)),  # the storm it was told in
    Index(
        "tellings_fallback",
        "fallback_at",
        sqlite_where=text("fallback_at IS NOT NULL"),
        postgresql_where=text("fallback_at IS NOT NULL"),
    ),
    Index(
        "tellings_repeat",
        "repeat_at",
        sqlite_where=text("repeat_at IS NOT NULL"),
        postgresql_where=text("repeat_at IS NOT NULL"),
    ),
    Index(
        "tellings_storm", "storm", sqlite_where=text("storm IS NOT NULL"), postgresql_where=text("storm IS NOT NULL")
    ),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("delivery_id", String(36), nullable=False),
    Column("receiver", String(63), nullable=False),
    Column("subject", String(64), nullable=False),  # what order is kept within: an alert's key or a group's id
    Column("grouped", Boolean, nullable=False),
    Column("action", String(16), nullable=False),
    Column("marks", Text, nullable=False, server_default=""),
    Column("note", Text, nullable=False, server_default=""),
    Column("episode_id", Id, nullable=False),  # of a group: the first that it tells
    Column("news", Text, nullable=False, server_default="[]"),  # of a group: ids of the episodes that it tells
    Column("severity", String(16), nullable=False),
    Column("urgent", Boolean, nullable=False),  # overtakes the others
    Column("state", String(16), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("received_at", Double, nullable=False),  # when the webhook came
    Column("next_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("maybe", Boolean, nullable=False),  # an attempt may have arrived
    Column("ambiguities", Integer, nullable=False, server_default="0"),  # attempts whose repetition may be a second one
    Column("lease_until", Double),
    Column("lease_by", String(36)),
    Column("reason", String(32), nullable=False, server_default=""),
    Column("error", Text, nullable=False, server_default=""),
    Column("progress", Text, nullable=False, server_default="{}"),
    Column("finished_at", Double),
    Column("storm", String(64)),
    Index(
        "outbox_pending",
        "receiver",
        "subject",
        "id",
        sqlite_where=text("state = 'pending'"),
        postgresql_where=text("state = 'pending'"),
    ),
    Index("outbox_episode", "episode_id"),
    Index("outbox_groups", "subject", "created_at", sqlite_where=text("grouped"), postgresql_where=text("grouped")),
    Index("outbox_dead", "receiver", sqlite_where=text("state = 'dead'"), postgresql_where=text("state = 'dead'")),
)

memories = Table(
    "memories",
    metadata,
    Column("receiver", String(63), primary_key=True),
    Column("subject", String(64), primary_key=True),
    Column("memory", Text, nullable=False),
    Column("updated_at", Double, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Index("audit_at", "at"),
)

facts = Table(
    "facts",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("value", Text, nullable=False),
)


def in_state(rows: FromClause, state: str) -> ColumnElement[bool]:
    """Rows of the outbox in a state, in the words of the partial indexes: planners do not look into parameters."""
    return rows.c.state == literal_column(f"'{state}'")


is_pending = in_state(outbox, "pending")
is_dead = in_state(outbox, "dead")
is_firing = episodes.c.status == literal_column("'firing'")
is_latest = text("episodes.latest")
is_grouped = text("outbox.grouped")
never_went_out = and_(is_dead, or_(outbox.c.maybe.is_(False), outbox.c.storm.is_not(None)))
"""Of triggers. One of a storm may have arrived, but an alert's own end would not close what it opened."""
