"""The chart's generated files: `python -m helm.generate` writes them, `--check` compares.

One source of truth: the schema of the values comes from the models of the daemons' settings, the table of values
from the models of the chart's own, rules and dashboards from deploy/, the version from pyproject.toml.
"""
