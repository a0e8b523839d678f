"""Tables: one row a thing, worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common, prometheus, table
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models import common as how
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.grafana.colours import CLEAR, PLAIN, SEVERITY, Mappings, missing
from deploy.grafana.panels import Panel, datasource
from deploy.grafana.promql import firing


@dataclass(frozen=True)
class Label:
    """A column that a label of the answers fills; `link` is where a click on it leads."""

    label: str
    title: str
    width: int | None = None
    mappings: Mappings | None = None
    link: str = ""


@dataclass(frozen=True)
class Column:
    """A column with the answers to a query of its own, which all have the table's labels and no other."""

    title: str
    expr: str
    unit: str
    width: int | None = None
    mappings: Mappings | None = None
    colours: ThresholdsConfig | None = None
    decimals: int | None = None
    nothing: str = "–"


def to(uid: str, *variables: tuple[str, str]) -> str:
    """A link from a row to a dashboard: `variables` are set from columns; the time and the choice of data stay."""
    chosen = "".join(f"&var-{name}=${{__data.fields.{column}:percentencode}}" for name, column in variables)
    return f"/d/{uid}?${{datasource:queryparam}}&${{job:queryparam}}{chosen}&${{__url_time_range}}"


def _override(one: Label | Column) -> list[model.DynamicConfigValue]:
    found: dict[str, object] = {"noValue": "–" if isinstance(one, Label) else one.nothing}
    if one.width:
        found["custom.width"] = one.width
    if one.mappings:
        found["mappings"] = one.mappings
        found["thresholds"] = CLEAR.build()
        found["custom.cellOptions"] = {"type": "color-background", "mode": "basic"}
        found["custom.align"] = "left"
    if isinstance(one, Label):
        if one.link:
            found["links"] = [{"title": f"Open this {one.title.lower()}", "url": one.link}]
    else:
        found["unit"] = one.unit
        if one.colours:
            found["thresholds"] = one.colours.build()
            found["mappings"] = missing(one.nothing)
            found["custom.cellOptions"] = {"type": "color-text"}
        if one.decimals is not None:
            found["decimals"] = one.decimals
    return [model.DynamicConfigValue(id_val=name, value=value) for name, value in found.items()]


def rows(
    title: str,
    description: str,
    columns: Sequence[Label | Column],
    worst: Sequence[tuple[str, bool]],
    *,
    width: int = 24,
    height: int = 10,
    nothing: str = "No data",
) -> Panel:
    """A table that joins its columns by their labels; `worst` sorts it: titles, and whether the highest is first."""
    asked = [column for column in columns if isinstance(column, Column)]
    values = {column.title: "Value" if len(asked) == 1 else f"Value #{_ref(at)}" for at, column in enumerate(asked)}
    names = [column.label if isinstance(column, Label) else values[column.title] for column in columns]
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(datasource())
        .span(width)
        .height(height)
        .unit("short")
        .targets(
            [
                prometheus.Dataquery()
                .datasource(datasource())
                .expr(column.expr)
                .legend_format(column.title)
                .ref_id(_ref(at))
                .instant()
                .format(PromQueryFormat.TABLE)
                for at, column in enumerate(asked)
            ]
        )
        .transformations(
            [
                model.DataTransformerConfig(id_val="merge", options={}),
                model.DataTransformerConfig(
                    id_val="organize",
                    options={
                        "excludeByName": {"Time": True},
                        "indexByName": {name: at for at, name in enumerate(names)},
                        "renameByName": {name: one.title for name, one in zip(names, columns, strict=True)},
                    },
                ),
            ]
        )
        .sort_by([common.TableSortByFieldState().display_name(name).desc(falling) for name, falling in worst])
        .show_header(True)
        .cell_height(how.TableCellHeight.SM)
        .thresholds(PLAIN)
        .no_value(nothing)
    )
    for column in columns:
        panel = panel.override_by_name(column.title, _override(column))
    return panel


def _ref(at: int) -> str:
    return chr(ord("A") + at)


def firing_table(title: str, description: str, alerts: str = "", *, width: int = 24, height: int = 6) -> Panel:
    """Alerts that fire now; `alerts` is a regular expression of their names."""
    return rows(
        title,
        description,
        [
            Label("severity", "Severity", 85, SEVERITY),
            Label("alertname", "Alert", 210),
            Label("subject", "What"),
            Column("For", firing(alerts), "s", 80, decimals=0),
        ],
        [("Severity", False), ("For", False)],
        width=width,
        height=height,
        nothing="No alert fires",
    )
