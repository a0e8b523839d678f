"""What Alembic runs; the connection is handed over by alerter.store.engine."""

from __future__ import annotations

from alembic import context

from alerter.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
