"""Samples job queues and their stores into `/metrics`."""
