"""The compose file and the Kubernetes manifests, parsed; and settings held against Settings."""

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from segue.stream.config.settings import Settings
from segue.stream.observability.metrics import Metrics, ShadowMetrics
from segue.stream.refresh.metrics import RefreshMetrics

ROOT = Path(__file__).parents[2]
OPS = ROOT / "stream" / "ops"
DASHBOARDS = {
    path.name: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((OPS / "grafana" / "dashboards").glob("*.json"))
}


def dashboard_queries() -> list[str]:
    """Return the query of every panel, collapsed rows included."""
    panels = [panel for dashboard in DASHBOARDS.values() for panel in dashboard["panels"]]
    panels += [inner for panel in panels for inner in panel.get("panels", [])]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def read_yaml(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


COMPOSE = read_yaml(ROOT / "docker-compose.yml")
SERVICES = COMPOSE["services"]


def compose_environment(service: str) -> dict[str, str]:
    """Return the variables compose sets itself, without those it passes on from its own."""
    given = SERVICES[service].get("environment", {})
    return {name: str(value) for name, value in given.items() if value is not None}


def compose_script(service: str) -> str:
    """Return a service's command as shell text; compose writes a dollar sign twice."""
    command = SERVICES[service]["command"]
    text = command[2] if command[:2] == ["sh", "-c"] else " ".join(command)
    return text.replace("$$", "$")


def refused_settings(given: dict[str, str]) -> str:
    """Return the names that are no settings, or why `segue` refuses the values; else nothing."""
    unknown = {name.removeprefix("SEGUE_").lower() for name in given} - set(Settings.model_fields)
    if unknown:
        return f"no settings: {sorted(unknown)}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEGUE_")}
    code = "from segue.stream.config.settings import load_settings; load_settings()"
    loaded = subprocess.run(
        [sys.executable, "-c", code], env=kept | given, cwd=OPS, capture_output=True, text=True
    )
    return loaded.stderr


def published_metrics() -> dict[str, str]:
    """Return name and type of each metric that a worker with a shadow, or a refresh, publishes."""
    worker = Metrics()
    ShadowMetrics(worker).begin("toy")
    registries = (worker.registry, RefreshMetrics().registry)
    return {one.name: one.type for registry in registries for one in registry.collect()}


SUFFIXES = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "info": ["_info"]}


def series(name: str, metric_type: str) -> set[str]:
    """Return the names under which Prometheus keeps a metric."""
    return {name + suffix for suffix in SUFFIXES.get(metric_type, [""])}


def published_series() -> set[str]:
    return {one for metric in published_metrics().items() for one in series(*metric)}
