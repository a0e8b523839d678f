"""Reputation of IP addresses."""

from exporter.catalogue.metric import Metric

REPUTATION: tuple[Metric, ...] = ()
