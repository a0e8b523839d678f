"""Health of PostgreSQL and Redis themselves."""

from exporter.catalogue.metric import Metric

STORES: tuple[Metric, ...] = ()
