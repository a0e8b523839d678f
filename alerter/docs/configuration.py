"""docs/alerter-configuration.md, from the models of the settings."""

from __future__ import annotations

from alerter.settings import AlerterSettings
from chassis.pages import fill, reference


def configuration() -> str:
    """The page as Markdown."""
    return fill(__package__, "configuration.md", {"reference": reference(AlerterSettings)})
