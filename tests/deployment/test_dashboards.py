"""Grafana's dashboards: made by code, of fields that Grafana knows, over metrics that are told."""

import json
import re
from pathlib import Path

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from segue.stream.observability.metrics import Metrics, ShadowMetrics
from segue.stream.ops.dashboards import DIRECTORY, dashboards, panels, text
from segue.stream.ops.panels import COLUMNS, SOURCE, Query, Row, laid_out, lines, stat
from segue.stream.refresh.metrics import RefreshMetrics

OPS = Path(__file__).parents[2] / "stream" / "ops"
METRIC = re.compile(r"\b((?:segue|process|python)_\w+)")


@pytest.fixture(scope="module")
def told() -> set[str]:
    """Give the name of every series that a worker with a trial, or a refresh, tells."""
    worker = Metrics()
    ShadowMetrics(worker).begin("toy")
    registries = (worker.registry, RefreshMetrics().registry)
    families = [family for registry in registries for family in registry.collect()]
    names = {family.name for family in families}
    suffixes = {
        "counter": ["_total"],
        "histogram": ["_bucket", "_sum", "_count"],
        "info": ["_info"],
    }
    return names | {
        family.name + suffix for family in families for suffix in suffixes.get(family.type, [])
    }


def test_the_files_are_what_the_code_makes():
    assert {path.name for path in DIRECTORY.iterdir()} == set(dashboards())
    for name, dashboard in dashboards().items():
        assert (DIRECTORY / name).read_text(encoding="utf-8") == text(dashboard), "make dashboards"


@pytest.mark.parametrize("name", dashboards())
def test_grafana_knows_every_field(name):
    register_default_plugins()
    dashboard = dashboards()[name]
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))
    assert lost(dashboard, read) == []


def lost(given, read, place=""):
    """Name what did not come back as it was given."""
    if isinstance(given, dict):
        return [
            found
            for key, value in given.items()
            for found in lost(value, (read or {}).get(key), f"{place}.{key}")
        ]
    if isinstance(given, list):
        pairs = zip(given, read or [None] * len(given), strict=True)
        return [f for n, pair in enumerate(pairs) for f in lost(*pair, f"{place}[{n}]")]
    return [] if given == read else [f"{place}: {given!r} became {read!r}"]


def test_a_field_that_grafana_does_not_know_is_seen():
    dashboard = dashboards()["overview.json"] | {"refrehs": "10s"}
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))
    assert lost(dashboard, read) == [".refrehs: '10s' became None"]


def test_panels_ask_for_metrics_that_are_told(told):
    asked = {name for one in panels() for q in one.queries for name in METRIC.findall(q.expr)}
    assert len(asked) > 40
    assert asked - told == set()


def test_every_metric_of_ours_is_on_a_panel(told):
    asked = {name for one in panels() for q in one.queries for name in METRIC.findall(q.expr)}
    names = {re.sub(r"_(total|bucket|sum|count|info)$", "", name) for name in asked}
    ours = {re.sub(r"_(total|bucket|sum|count|info)$", "", n) for n in told if n[:5] == "segue"}
    # What `segue compare` reads; versions that stand in tables and logs.
    elsewhere = {"segue_shadow_reciprocal_ranks_at_20", "segue_shadow_model", "segue_rules"}
    elsewhere |= {"segue_shadow_errors", "segue_refresh_plays"}
    assert ours - names == elsewhere


def test_panels_ask_questions_and_stand_side_by_side():
    for dashboard in dashboards().values():
        boxes = [one["gridPos"] for one in dashboard["panels"]]
        numbers = [one["id"] for one in dashboard["panels"]]
        assert len(set(numbers)) == len(numbers)
        assert all(box["x"] + box["w"] <= COLUMNS for box in boxes)
        taken = [
            (x, y)
            for box in boxes
            for x in range(box["x"], box["x"] + box["w"])
            for y in range(box["y"], box["y"] + box["h"])
        ]
        assert len(set(taken)) == len(taken), "two panels overlap"
    titles = [one.title for one in panels()]
    assert len(set(titles)) == len(titles)
    assert all(one.question and one.queries for one in panels())


def test_panels_go_on_below_where_a_row_is_full():
    made = [stat(name, "?", Query("up")) for name in "abcdefg"] + [lines("h", "?", Query("up"))]
    places = [one["gridPos"] for one in laid_out([Row("row", tuple(made)), Row("next", ())])]
    assert [(one["x"], one["y"]) for one in places] == [
        *((0, 0), (0, 1), (4, 1), (8, 1), (12, 1), (16, 1), (20, 1), (0, 5), (4, 5)),
        (0, 13),
    ]


def test_dashboards_and_their_source_are_provisioned():
    [source] = yaml.safe_load((OPS / "grafana/datasource.yml").read_text("utf-8"))["datasources"]
    assert (source["type"], source["uid"]) == (SOURCE["type"], SOURCE["uid"])
    [provider] = yaml.safe_load((OPS / "grafana/dashboards.yml").read_text("utf-8"))["providers"]
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
