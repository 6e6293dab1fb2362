"""Grafana's dashboards have only fields that Grafana knows, over metrics that are published."""

import json
import re

import pytest

from tests.deployment.files import (
    DASHBOARDS,
    dashboard_queries,
    published_metrics,
    published_series,
    series,
)

METRIC = re.compile(r"\b((?:segue|process|python)_\w+)")


@pytest.mark.parametrize("name", DASHBOARDS)
def test_grafana_knows_every_field(name):
    pytest.importorskip("grafana_foundation_sdk", reason="make test-deployment")
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    dashboard = DASHBOARDS[name]
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))
    assert lost(dashboard, read) == []


def lost(given, read, place=""):
    """Return what did not come back as it was given."""
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


def queried() -> set[str]:
    return {name for query in dashboard_queries() for name in METRIC.findall(query)}


def test_panels_query_metrics_that_are_published():
    assert len(queried()) > 40
    assert queried() - published_series() == set()


def test_every_metric_of_ours_is_on_a_panel():
    ours = [metric for metric in published_metrics().items() if metric[0].startswith("segue")]
    missing = {name for name, kind in ours if not series(name, kind) & queried()}
    # What `segue compare` reads; versions that stand in tables and logs.
    assert missing == {
        *("segue_shadow_reciprocal_ranks_at_20", "segue_shadow_model", "segue_rules"),
        *("segue_shadow_errors", "segue_refresh_plays"),
    }
