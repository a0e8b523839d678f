"""docs/metrics.md, from the catalogue."""

from __future__ import annotations

from itertools import groupby

from chassis.pages import metric
from exporter.catalogue import CATALOGUE, LABELS, Metric
from exporter.docs.page import code, fill, table
from exporter.docs.rules import rules
from exporter.model import Reason
from exporter.queues import KINDS
from exporter.sections import SECTIONS

REASONS: dict[Reason, str] = {
    Reason.REFUSED: "nobody listens, the connection was lost, or the server starts up or shuts down",
    Reason.RESOLVE: "the host's name has no address, or Sentinels know no master",
    Reason.TIMEOUT: "no answer within the time limit",
    Reason.AUTH: "wrong password, unknown user or database",
    Reason.PERMISSION: "a right is missing; `postwatch-exporter check --connect` prints the `GRANT`",
    Reason.MISSING: "a table or a column is not there",
    Reason.MISMATCH: "a column or a key has another type than the configuration says",
    Reason.LOCKED: "somebody holds a lock on the table, a migration for example",
    Reason.OVERLOADED: "the server has no connection, memory or disk left",
    Reason.PROTOCOL: "the answer is not what the protocol allows",
    Reason.TLS: "the encrypted connection could not be set up",
    Reason.INTERNAL: "a defect of Postwatch: please report it with the log line `sampler_defect`",
}


def metrics() -> str:
    """The page as Markdown."""
    return fill(
        "metrics.md",
        {
            "contents": _contents(),
            "kinds": "\n\n".join(each.guide().metrics for each in (*KINDS, *SECTIONS) if hasattr(each, "guide")),
            "reasons": table(("`reason`", "meaning"), ((code(reason), text) for reason, text in REASONS.items())),
            "labels": table(("label", "meaning"), ((code(label), meaning) for label, meaning in LABELS.items())),
            "metrics": _groups(),
            "rules": rules(),
        },
    )


def _contents() -> str:
    rows = [(f"[{m.name}](#{m.name.lower()})", m.kind.value, m.help) for m in CATALOGUE]
    return table(("metric", "type", "meaning"), rows)


def _groups() -> str:
    parts = []
    for group, members in groupby(CATALOGUE, key=lambda each: each.group):
        parts.append(f"## {group}\n")
        parts.extend(map(_metric, members))
    return "\n".join(parts)


def _metric(each: Metric) -> str:
    return metric(each.family, each.labels, each.unit, each.query, f"from: {each.source}", f"taken: {each.fresh}")
