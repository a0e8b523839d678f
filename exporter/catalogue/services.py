"""Services, as probed."""

from exporter.catalogue.metric import Metric

SERVICES: tuple[Metric, ...] = ()
