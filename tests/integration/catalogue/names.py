"""Names of what is declared, and labels that the exporter is configured to add."""

import re

from chassis.exposition import Kind
from exporter.catalogue import CATALOGUE

BY_NAME = {metric.name: metric for metric in CATALOGUE}
CONSTANT = {"team": "delivery", "tenant": "acme"}


def family_of(name: str) -> str:
    """The metric that a sample is of."""
    plain = re.sub(r"_(?:bucket|sum|count)$", "", name)
    return plain if plain in BY_NAME and BY_NAME[plain].kind is Kind.HISTOGRAM else name
