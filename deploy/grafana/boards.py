"""A dashboard as a whole: its question, variables, links, annotations and the order of its panels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from deploy.grafana.panels import Panel, datasource
from deploy.grafana.promql import FIRING

TAG = "postwatch"
SCHEMA = 41  # Grafana 10 to 13 import it


@dataclass(frozen=True)
class Variable:
    """A choice of values of a label; `one` admits a single value, and no "all"."""

    name: str
    title: str
    metric: str
    one: bool = False

    def built(self) -> Builder[model.VariableModel]:
        label = self.name
        query = f"label_values({self.metric}, {label})"
        found = (
            build.QueryVariable(self.name)
            .label(self.title)
            .datasource(datasource())
            .query({"query": query, "refId": self.name, "qryType": 1})
            .definition(query)
            .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(model.VariableSort.ALPHABETICAL_ASC)
            .multi(not self.one)
            .include_all(not self.one)
        )
        if self.one:
            return found
        # What is not there, such as a label that a series lacks, fits "all" too.
        return found.all_value(".*").current(model.VariableOption(selected=True, text="All", value="$__all"))


JOB = Variable("job", "Exporter's job", "postwatch_sampler_up")
SOURCE = Variable("source", "Source", 'postwatch_queue_depth{job=~"$job"}')
QUEUE = Variable("queue", "Queue", 'postwatch_queue_depth{job=~"$job",source=~"$source"}')
PRIORITY = Variable("priority", "Priority", 'postwatch_queue_depth{job=~"$job",source=~"$source",queue=~"$queue"}')


@dataclass(frozen=True)
class Section:
    """Panels below a heading; the first section of a dashboard has none."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Board:
    """A dashboard; `question` is what it answers, `alerts` a regular expression of those that it marks."""

    uid: str
    title: str
    question: str
    variables: Sequence[Variable]
    sections: Sequence[Section]
    alerts: str = ".+"
    since: str = "now-1h"
    refresh: str = "10s"

    @property
    def file(self) -> str:
        return f"{self.uid}.json"

    def _built(self) -> model.Dashboard:
        board = (
            build.Dashboard(self.title)
            .uid(self.uid)
            .description(self.question)
            .tags([TAG])
            .timezone("browser")
            .time(self.since, "now")
            .refresh(self.refresh)
            .timepicker(build.TimePicker().refresh_intervals(["5s", "10s", "30s", "1m", "5m", "15m"]))
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .readonly()
            .link(
                build.DashboardLink("Other Postwatch dashboards")
                .type(model.DashboardLinkType.DASHBOARDS)
                .tags([TAG])
                .as_dropdown(True)
                .keep_time(True)
                .include_vars(False)
            )
            .annotation(
                build.AnnotationQuery()
                .name("Alerts")
                .datasource(datasource())
                .enable(True)
                .icon_color("red")
                .expr(f'max by (alertname, severity, service) (ALERTS{{{FIRING},alertname=~"{self.alerts}"}})')
            )
            .with_variable(
                build.DatasourceVariable("datasource").label("Data").type("prometheus").multi(False).include_all(False)
            )
        )
        for variable in (JOB, *self.variables):
            board = board.with_variable(variable.built())
        for section in self.sections:
            if section.title:
                board = board.with_row(build.Row(section.title))
            for panel in section.panels:
                board = board.with_panel(panel)
        return board.build()

    def written(self) -> str:
        """The dashboard as JSON, the same for the same code."""
        content: dict[str, Any] = json.loads(JSONEncoder().encode(self._built()))
        content["schemaVersion"] = SCHEMA
        content["version"] = 1
        for number, panel in enumerate(content["panels"], start=1):
            panel["id"] = number
        (marks,) = content["annotations"]["list"]
        # Where one looks for them, instead of a menu.
        for placed in (marks, *content["links"]):
            placed.pop("placement")
        marks |= {"titleFormat": "{{alertname}}", "textFormat": "{{severity}}: {{service}}", "tagKeys": "severity"}
        text = json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
        for name in (variable.name for variable in self.variables if variable.one):
            # Grafana escapes for regular expressions what may be several values, and no other.
            text = text.replace(f'{name}=~\\"${name}\\"', f'{name}=\\"${name}\\"')
        return text
