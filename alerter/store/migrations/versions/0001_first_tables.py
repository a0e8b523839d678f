"""The first tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
YEAR = 365 * 86400


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "episodes",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("latest", sa.Boolean, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.String(128), nullable=False),
        sa.Column("group_id", sa.String(64), nullable=False),
        sa.Column("group_key", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("annotations", sa.Text, nullable=False),
        sa.Column("content", sa.String(64), nullable=False),
        sa.Column("generator_url", sa.Text, nullable=False),
        sa.Column("external_url", sa.Text, nullable=False),
        sa.Column("starts_at", sa.Double, nullable=False),
        sa.Column("ends_at", sa.Double),
        sa.Column("received_at", sa.Double, nullable=False),
        sa.Column("changed_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.Column("ended_by", sa.Text, nullable=False, server_default=""),
        sa.Column("note", sa.Text, nullable=False, server_default=""),
        sa.Column("because", sa.Text, nullable=False, server_default=""),
        sa.Column("acknowledged_at", sa.Double),
        sa.Column("acknowledged_by", sa.Text, nullable=False, server_default=""),
        sa.Column("escalate_at", sa.Double),
        sa.Column("escalations", sa.Text, nullable=False, server_default="[]"),
    )
    op.create_index("episodes_latest", "episodes", ["key"], unique=True, **_where("latest"))
    op.create_index("episodes_changed", "episodes", ["changed_at"])
    op.create_index("episodes_received", "episodes", ["received_at"])
    op.create_index("episodes_group", "episodes", ["group_id"])
    op.create_index("episodes_escalate", "episodes", ["escalate_at"], **_where("escalate_at IS NOT NULL"))
    op.create_index("episodes_firing", "episodes", ["source"], **_where("status = 'firing'"))
    op.create_table(
        "tellings",
        sa.Column("episode_id", ID, primary_key=True, autoincrement=False),
        sa.Column("receiver", sa.String(63), primary_key=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("told_at", sa.Double),
        sa.Column("fallback_at", sa.Double),
        sa.Column("fallback", sa.Text, nullable=False, server_default="[]"),
        sa.Column("repeat_at", sa.Double),
        sa.Column("repeat_every", sa.Double),
        sa.Column("storm", sa.String(64)),
    )
    op.create_index("tellings_fallback", "tellings", ["fallback_at"], **_where("fallback_at IS NOT NULL"))
    op.create_index("tellings_repeat", "tellings", ["repeat_at"], **_where("repeat_at IS NOT NULL"))
    op.create_index("tellings_storm", "tellings", ["storm"], **_where("storm IS NOT NULL"))
    op.create_table(
        "outbox",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("delivery_id", sa.String(36), nullable=False),
        sa.Column("receiver", sa.String(63), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("grouped", sa.Boolean, nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("marks", sa.Text, nullable=False, server_default=""),
        sa.Column("note", sa.Text, nullable=False, server_default=""),
        sa.Column("episode_id", ID, nullable=False),
        sa.Column("news", sa.Text, nullable=False, server_default="[]"),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("urgent", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("received_at", sa.Double, nullable=False),
        sa.Column("next_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("maybe", sa.Boolean, nullable=False),
        sa.Column("ambiguities", sa.Integer, nullable=False, server_default="0"),
        sa.Column("lease_until", sa.Double),
        sa.Column("lease_by", sa.String(36)),
        sa.Column("reason", sa.String(32), nullable=False, server_default=""),
        sa.Column("error", sa.Text, nullable=False, server_default=""),
        sa.Column("progress", sa.Text, nullable=False, server_default="{}"),
        sa.Column("finished_at", sa.Double),
        sa.Column("storm", sa.String(64)),
    )
    op.create_index("outbox_pending", "outbox", ["receiver", "subject", "id"], **_where("state = 'pending'"))
    op.create_index("outbox_episode", "outbox", ["episode_id"])
    op.create_index("outbox_groups", "outbox", ["subject", "created_at"], **_where("grouped"))
    op.create_index("outbox_dead", "outbox", ["receiver"], **_where("state = 'dead'"))
    op.create_table(
        "memories",
        sa.Column("receiver", sa.String(63), primary_key=True),
        sa.Column("subject", sa.String(64), primary_key=True),
        sa.Column("memory", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("what", sa.String(32), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )
    op.create_index("audit_at", "audit", ["at"])
    op.create_table(
        "facts",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    # What was written into the audit stays as it is, and for a year at least it stays.
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit"
            " BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END"
        )
        op.execute(
            "CREATE TRIGGER audit_kept BEFORE DELETE ON audit"
            f" WHEN old.at > CAST(strftime('%s', 'now') AS REAL) - {YEAR}"
            " BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END"
        )
        return
    op.execute(
        "CREATE FUNCTION audit_refuses() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$"
    )
    op.execute("CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit FOR EACH ROW EXECUTE FUNCTION audit_refuses()")
    op.execute(
        "CREATE TRIGGER audit_kept BEFORE DELETE ON audit FOR EACH ROW"
        f" WHEN (old.at > extract(epoch FROM now()) - {YEAR}) EXECUTE FUNCTION audit_refuses()"
    )


def downgrade() -> None:
    raise NotImplementedError("what was accepted is not thrown away; restore a backup instead")
