"""What compose starts to watch the others: Prometheus, Grafana, and the live page."""

from pathlib import Path

import yaml

from segue.offline.cli.refresh import refresh
from segue.offline.cli.ui import ui
from tests.deployment.test_compose import ROOT, SERVICES, environment, metrics_port, mounts

PROMETHEUS = yaml.safe_load((ROOT / "stream/ops/prometheus.yml").read_text(encoding="utf-8"))


def test_grafana_shows_files_to_everybody_and_lets_nobody_in():
    given = environment("grafana")
    assert given["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert given["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert given["GF_AUTH_BASIC_ENABLED"] == "false"
    targets = {source: target for source, target, *_ in mounts("grafana")}
    folder = targets["./stream/ops/grafana/dashboards"]
    home = Path(given["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert home.parent == Path(folder)
    assert (ROOT / "stream/ops/grafana/dashboards" / home.name).is_file()
    provider = (ROOT / "stream/ops/grafana/dashboards.yml").read_text("utf-8")
    assert f"path: {folder}\n" in provider
    source = yaml.safe_load((ROOT / "stream/ops/grafana/datasource.yml").read_text("utf-8"))
    port = SERVICES["prometheus"]["ports"][0].rpartition(":")[2]
    assert source["datasources"][0]["url"] == f"http://prometheus:{port}"


def test_prometheus_asks_every_worker_where_its_metrics_are():
    job, refresh, _ = PROMETHEUS["scrape_configs"]
    [found] = job["dns_sd_configs"]
    assert found["names"] == ["worker"]
    assert set(found["names"]) <= set(SERVICES)
    assert (found["type"], found["port"]) == ("A", metrics_port())
    assert environment("worker")["SEGUE_METRICS_HOST"] == "0.0.0.0"
    assert [(one["names"], one["port"]) for one in refresh["dns_sd_configs"]] == [
        (["refresh"], refresh_port())
    ]
    config, *rules = (target for source, target, *_ in mounts("prometheus") if "ops" in source)
    assert PROMETHEUS["rule_files"] == rules
    assert f"--config.file={config}" in SERVICES["prometheus"]["command"]


def refresh_port() -> int:
    [port] = [one for one in refresh.params if one.name == "metrics_port"]
    assert f":{port.default}/" in SERVICES["refresh"]["healthcheck"]["test"][-1]
    return int(port.default)


def test_the_page_asks_a_worker_for_its_figures():
    command = SERVICES["ui"]["command"]
    assert command[command.index("--metrics") + 1] == f"worker:{metrics_port()}"
    [option] = [one for one in ui.params if one.name == "port"]
    assert SERVICES["ui"]["ports"] == [f"127.0.0.1:{option.default}:{option.default}"]
    assert f":{option.default}/" in SERVICES["ui"]["healthcheck"]["test"][-1]
