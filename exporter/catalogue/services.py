"""Services, as probed."""

from chassis.exposition import Kind
from exporter.catalogue.metric import COUNTER, GAUGE, HISTOGRAM, Metric, declare

_TARGET = ("target", "kind")
_PROBE = "each probe (`interval`, 15 s)"


def _service(name: str, kind: Kind, labels: tuple[str, ...], unit: str, help: str, query: str) -> Metric:
    return declare("Services", (*_TARGET, *labels), f"service_{name}", kind, unit, "the service", _PROBE, help, query)


SERVICES: tuple[Metric, ...] = (
    _service("up", GAUGE, (), "0 or 1", "1 if the last probe got what it expected.", "postwatch_service_up == 0"),
    _service("state", GAUGE, ("state",), "0 or 1",
        "1 for the state that the service is in, 0 for the others; all 0 before the first probe.",
        'postwatch_service_state{state="down"} == 1'),
    _service("response_seconds", HISTOGRAM, (), "seconds", "How long probes took, failed ones included.",
        "histogram_quantile(0.99, sum by (le, target) (rate(postwatch_service_response_seconds_bucket[5m])))"),
    _service("phase_seconds", GAUGE, ("phase",), "seconds", "What the last probe's time went to.",
        "sum by (phase) (postwatch_service_phase_seconds)"),
    _service("probes_total", COUNTER, (), "probes", "Probes, failed ones included.",
        "rate(postwatch_service_probes_total[5m])"),
    _service("failures_total", COUNTER, ("reason",), "probes", "Failed probes by reason.",
        "sum by (target) (rate(postwatch_service_failures_total[5m]))"
        " / sum by (target) (rate(postwatch_service_probes_total[5m]))"),
    _service("http_responses_total", COUNTER, ("code",), "responses",
        "Responses to probes over HTTP by status code.",
        'sum by (target) (rate(postwatch_service_http_responses_total{code=~"2.."}[1h]))'),
    _service("certificate_expiry_timestamp_seconds", GAUGE, (), "epoch seconds",
        "When the certificate that the service showed expires.",
        "postwatch_service_certificate_expiry_timestamp_seconds - time() < 14 * 86400"),
)  # fmt: skip
