"""Grafana's panels as plain dicts: what a dashboard is put together from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

SOURCE = {"type": "prometheus", "uid": "prometheus"}
"""The data source of every query, as it is provisioned."""

COLUMNS = 24  # Grafana's grid
GREEN, ORANGE, RED = "green", "orange", "red"


@dataclass(frozen=True)
class Query:
    """One PromQL expression. legend: Grafana's template of a series' name.

    rare: why it may give nothing though all is well; "" where that never happens.
    """

    expr: str
    legend: str = ""
    rare: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel: a question, and the queries that answer it.

    kind: Grafana's name of it: timeseries, stat, table, bargauge. unit: Grafana's name of it.
    steps: (value from which on, colour), the first from -infinity on. size: columns and rows of
    the grid. stacked: areas that add up.
    """

    title: str
    question: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: str = "timeseries"
    steps: tuple[tuple[float | None, str], ...] = ()
    size: tuple[int, int] = (8, 8)
    stacked: bool = False
    max_value: float | None = None

    def model(self, number: int, x: int, y: int) -> dict[str, Any]:
        """Give the panel as Grafana stores it, at a place of the grid."""
        width, height = self.size
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.question,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": width, "h": height},
            "targets": [self._target(place, one) for place, one in enumerate(self.queries)],
            "fieldConfig": {"defaults": self._defaults(), "overrides": []},
            "options": _OPTIONS[self.kind],
        }

    def _target(self, place: int, query: Query) -> dict[str, Any]:
        instant = self.kind != "timeseries"
        return {
            "refId": chr(ord("A") + place),
            "datasource": SOURCE,
            "expr": query.expr,
            "legendFormat": query.legend or "__auto",
            "instant": instant,
            "range": not instant,
            "format": "table" if self.kind == "table" else "time_series",
        }

    def _defaults(self) -> dict[str, Any]:
        defaults: dict[str, Any] = {"unit": self.unit, "noValue": "no data"}
        if self.unit != "dateTimeFromNow":
            defaults["min"] = 0
        if self.max_value is not None:
            defaults["max"] = self.max_value
        if self.steps:
            steps = [{"value": value, "color": color} for value, color in self.steps]
            defaults["thresholds"] = {"mode": "absolute", "steps": steps}
        if self.kind == "timeseries":
            defaults["custom"] = {
                "drawStyle": "line",
                "lineWidth": 1,
                "fillOpacity": 40 if self.stacked else 8,
                "showPoints": "never",
                "spanNulls": False,
                "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
                "thresholdsStyle": {"mode": "line" if self.steps else "off"},
            }
        return defaults


@dataclass(frozen=True)
class Row:
    """A heading and the panels below it, from left to right and then down."""

    title: str
    panels: tuple[Panel, ...]


_REDUCE = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "reduceOptions": _REDUCE,
        "colorMode": "value",
        "graphMode": "none",
        "textMode": "auto",
        "justifyMode": "auto",
        "orientation": "auto",
    },
    "bargauge": {
        "reduceOptions": _REDUCE,
        "displayMode": "basic",
        "orientation": "horizontal",
    },
    "table": {"showHeader": True, "cellHeight": "sm"},
}


def stat(title: str, question: str, *queries: Query, **more: Any) -> Panel:
    """Make a panel of one figure, four columns wide."""
    made = Panel(title, question, queries, kind="stat", size=(4, 4))
    return replace(made, **more)


def lines(title: str, question: str, *queries: Query, **more: Any) -> Panel:
    """Make a panel of lines over time, a third of the page wide."""
    return replace(Panel(title, question, queries), **more)


def laid_out(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Give the models of all panels, each row below the one before it."""
    models: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        models.append(_heading(row, len(models) + 1, y))
        x, y, deepest = 0, y + 1, 0
        for panel in row.panels:
            width, height = panel.size
            if x + width > COLUMNS:
                x, y, deepest = 0, y + deepest, 0
            models.append(panel.model(len(models) + 1, x, y))
            x, deepest = x + width, max(deepest, height)
        y += deepest
    return models


def _heading(row: Row, number: int, y: int) -> dict[str, Any]:
    place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
    return {
        "id": number,
        "type": "row",
        "title": row.title,
        "collapsed": False,
        "gridPos": place,
        "panels": [],
    }
