"""docs/alerter-metrics.md, from the catalogue."""

from __future__ import annotations

from alerter.catalogue import CATALOGUE, LABELS, Metric
from alerter.model import Reason
from chassis.pages import code, fill, metric, table

REASONS: dict[Reason, str] = {
    Reason.AUTH: "the credential is wrong or was revoked; the receiver is stopped until it is corrected",
    Reason.REJECTED: "the provider will never take this message, or not to this address",
    Reason.RATE_LIMITED: "too many for the provider at the moment",
    Reason.UNAVAILABLE: "the provider says that it cannot, for now, or something answers in its place",
    Reason.TIMEOUT: "no answer in time; the message may have been taken all the same",
    Reason.NETWORK: "no connection, or it broke: a name, a firewall, a certificate",
    Reason.TOO_LARGE: "larger than the provider takes, even shortened",
    Reason.EXPIRED: "tried as long as it was worth while",
    Reason.INTERNAL: "a defect of Postwatch: please report it with the log line `a receiver broke`",
}


def metrics() -> str:
    """The page as Markdown."""
    return fill(
        __package__,
        "metrics.md",
        {
            "contents": table(
                ("metric", "type", "meaning"), ((f"[{m.name}](#{m.name})", m.kind.value, m.help) for m in CATALOGUE)
            ),
            "reasons": table(("`reason`", "meaning"), ((code(reason), text) for reason, text in REASONS.items())),
            "labels": table(("label", "meaning"), ((code(label), text) for label, text in LABELS.items())),
            "metrics": "\n".join(map(_metric, CATALOGUE)),
        },
    )


def _metric(each: Metric) -> str:
    return metric(each.family, each.labels, each.unit, each.query)
