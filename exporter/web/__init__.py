"""What the exporter shows over HTTP beside `/metrics`: its health and a landing page."""
