"""The host."""

from exporter.catalogue.metric import Metric

HOST: tuple[Metric, ...] = ()
