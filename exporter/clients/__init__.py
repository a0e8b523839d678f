"""How the exporter talks to what it watches: read-only, within time limits, measured, failures named."""
