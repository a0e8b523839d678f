"""Brings what is in the outbox to the receivers: each by workers, a pace and a circuit of its own."""
