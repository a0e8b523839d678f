"""Panels as these dashboards want them: with a description, a unit, a legend, and colours that mean something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.builders.dashboard import FieldColor, ThresholdsConfig
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as how
from grafana_foundation_sdk.models import dashboard as model

from deploy.grafana.colours import PLAIN, Mappings, missing, steps

Panel = Builder[model.Panel]
BARS = steps("blue")
_Any = TypeVar("_Any", stat.Panel, timeseries.Panel, statetimeline.Panel, bargauge.Panel)


def datasource() -> how.DataSourceRef:
    """The one that the variable chooses."""
    return how.DataSourceRef(type_val="prometheus", uid="${datasource}")


@dataclass(frozen=True)
class Line:
    """A query over the time of the picture; `legend` names its series."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Look:
    """How series whose name fits the regular expression are drawn, unlike the others."""

    names: str
    colour: str | None = None
    dashed: bool = False
    unit: str | None = None

    @property
    def properties(self) -> list[model.DynamicConfigValue]:
        found: dict[str, object] = {}
        if self.colour:
            found["color"] = {"mode": "fixed", "fixedColor": self.colour}
        if self.dashed:
            found["custom.lineStyle"] = {"fill": "dash", "dash": [8, 6]}
        if self.unit:
            found["unit"] = self.unit
        return [model.DynamicConfigValue(id_val=name, value=value) for name, value in found.items()]


def _ask(line: Line, index: int, *, instant: bool = False) -> prometheus.Dataquery:
    query = prometheus.Dataquery().datasource(datasource()).expr(line.expr).legend_format(line.legend)
    query = query.ref_id(chr(ord("A") + index))
    return query.instant() if instant else query.range()


def _framed(panel: _Any, title: str, description: str, unit: str, size: tuple[int, int]) -> _Any:
    width, height = size
    return panel.title(title).description(description).datasource(datasource()).unit(unit).span(width).height(height)


def tile(
    title: str,
    description: str,
    expr: str,
    unit: str,
    *,
    colours: ThresholdsConfig = PLAIN,
    mappings: Mappings | None = None,
    decimals: int | None = None,
    nothing: str = "No data",
    width: int = 3,
    trend: bool = False,
) -> Panel:
    """One number, coloured by what it means; `nothing` is said in its place, `trend` draws its past below."""
    panel = (
        _framed(stat.Panel(), title, description, unit, (width, 4))
        .with_target(_ask(Line(expr, title), 0, instant=not trend))
        .thresholds(colours)
        .color_scheme(FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .color_mode(how.BigValueColorMode.VALUE)
        .graph_mode(how.BigValueGraphMode.AREA if trend else how.BigValueGraphMode.NONE)
        .text_mode(how.BigValueTextMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .no_value(nothing)
        .mappings([*(mappings or []), *missing(nothing)])
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    return panel


def lines(
    title: str,
    description: str,
    unit: str,
    *asked: Line,
    looks: Sequence[Look] = (),
    width: int = 12,
    height: int = 8,
    stacked: bool = False,
    least: float | None = 0,
    most: float | None = None,
    nothing: str = "No data",
) -> Panel:
    """Values over time; `least` and `most` are the ends of the scale where there are such, as 1 for a ratio."""
    panel = (
        _framed(timeseries.Panel(), title, description, unit, (width, height))
        .targets([_ask(line, index) for index, line in enumerate(asked)])
        .draw_style(how.GraphDrawStyle.LINE)
        .line_width(2)
        .fill_opacity(30 if stacked else 0)
        .show_points(how.VisibilityMode.AUTO)
        .color_scheme(FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC))
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(how.LegendDisplayMode.LIST)
            .placement(how.LegendPlacement.BOTTOM)
        )
        .tooltip(common.VizTooltipOptions().mode(how.TooltipDisplayMode.MULTI).sort(how.SortOrder.DESCENDING))
        .no_value(nothing)
    )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(how.StackingMode.NORMAL).group("A"))
    if least is not None:
        panel = panel.min(least)
    if most is not None:
        panel = panel.max(most)
    for look in looks:
        panel = panel.override_by_regexp(look.names, look.properties)
    return panel


def states(
    title: str,
    description: str,
    line: Line,
    mappings: Mappings,
    *,
    width: int = 24,
    height: int = 7,
    nothing: str = "No data",
) -> Panel:
    """One bar each over time, coloured and named by state."""
    return (
        _framed(statetimeline.Panel(), title, description, "short", (width, height))
        .with_target(_ask(line, 0))
        .mappings(mappings)
        .thresholds(PLAIN)
        .color_scheme(FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .merge_values(True)
        .show_value(how.VisibilityMode.AUTO)
        .row_height(0.8)
        .fill_opacity(80)
        .line_width(0)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(how.LegendDisplayMode.LIST)
            .placement(how.LegendPlacement.BOTTOM)
        )
        .tooltip(common.VizTooltipOptions().mode(how.TooltipDisplayMode.SINGLE).sort(how.SortOrder.NONE))
        .no_value(nothing)
    )


def bars(
    title: str,
    description: str,
    unit: str,
    line: Line,
    *,
    colours: ThresholdsConfig = BARS,
    width: int = 12,
    height: int = 8,
    decimals: int | None = None,
    nothing: str = "No data",
) -> Panel:
    """One bar for each series, as it is now."""
    panel = (
        _framed(bargauge.Panel(), title, description, unit, (width, height))
        .with_target(_ask(line, 0, instant=True))
        .min(0)
        .thresholds(colours)
        .color_scheme(FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .orientation(how.VizOrientation.HORIZONTAL)
        .display_mode(how.BarGaugeDisplayMode.BASIC)
        .value_mode(how.BarGaugeValueMode.TEXT)
        .text(common.VizTextDisplayOptions().title_size(13).value_size(16))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .no_value(nothing)
    )
    return panel if decimals is None else panel.decimals(decimals)
