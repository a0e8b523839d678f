"""All dashboards, in the order in which one looks at them."""

from deploy.grafana import detail, errors, itself, overview, reputation, services, slo, system, workers

BOARDS = tuple(
    module.BOARD for module in (overview, detail, workers, errors, services, reputation, system, slo, itself)
)
