"""Pictures of the dashboards without a Grafana: recorded answers of Prometheus, drawn by Grafana's own components."""
