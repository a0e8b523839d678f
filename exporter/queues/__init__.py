"""Queue systems: one module each, and one line here.

A kind is a module with `KIND`, `Options` (its settings) and `build(options, context) -> QueueSource`; it may
have `guide() -> Guide`, its chapters of the reference pages.
"""

from exporter.queues import hybrid, pgboss, pgmq

KINDS = (hybrid, pgboss, pgmq)
