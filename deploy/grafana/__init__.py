"""The dashboards, as code. `python -m deploy.grafana`, run in the repository's root, writes dashboards/*.json."""
