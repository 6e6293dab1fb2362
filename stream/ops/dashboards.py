"""Write Grafana's dashboards: `python -m segue.stream.ops.dashboards`, or `make dashboards`.

What lies in stream/ops/grafana/dashboards is made here and never edited: a test compares both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from segue.stream.ops import details as deep
from segue.stream.ops import overview
from segue.stream.ops.panels import SOURCE, Panel, Row, laid_out

DIRECTORY = Path(__file__).parent / "grafana" / "dashboards"
SCHEMA_VERSION = 41
WINDOWS = ("5m", "1h", "6h", "1d", "7d")


def dashboards() -> dict[str, dict[str, Any]]:
    """Give the name of each file and what it holds."""
    return {
        "overview.json": _dashboard("segue-overview", "Segue: overview", overview.ROWS, [_WINDOW]),
        "deep.json": _dashboard(
            "segue-deep", "Segue: stages and processes", deep.ROWS, [_WINDOW, _INSTANCE]
        ),
    }


def panels() -> Iterator[Panel]:
    """Give every panel of both."""
    for row in (*overview.ROWS, *deep.ROWS):
        yield from row.panels


def text(dashboard: dict[str, Any]) -> str:
    """Write a dashboard as its file holds it."""
    return json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write every file anew."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    for name, dashboard in dashboards().items():
        (DIRECTORY / name).write_text(text(dashboard), encoding="utf-8")


_WINDOW = {
    "name": "window",
    "label": "Window",
    "type": "custom",
    "query": ",".join(WINDOWS),
    "current": {"text": "1h", "value": "1h"},
    "options": [{"text": one, "value": one, "selected": one == "1h"} for one in WINDOWS],
    "multi": False,
    "includeAll": False,
}
_INSTANCE = {
    "name": "instance",
    "label": "Process",
    "type": "query",
    "datasource": SOURCE,
    "query": 'label_values(up{job=~"segue-.*"}, instance)',
    "refresh": 2,
    "multi": True,
    "includeAll": True,
    "allValue": ".+",
    "current": {"text": "All", "value": "$__all"},
    "sort": 1,
}


def _dashboard(
    uid: str, title: str, rows: Sequence[Row], variables: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "uid": uid,
        "title": title,
        "tags": ["segue"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "10s",
        "timezone": "browser",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": list(variables)},
        "links": [
            {
                "type": "dashboards",
                "title": "Segue",
                "tags": ["segue"],
                "asDropdown": False,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "panels": laid_out(rows),
    }


if __name__ == "__main__":
    main()
