"""Recording and alerting rules: metrics that are told, a runbook for each, and promtool's word."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from segue.stream.observability.metrics import Metrics, ShadowMetrics
from segue.stream.refresh.metrics import RefreshMetrics

ROOT = Path(__file__).parents[2]
OPS = ROOT / "stream" / "ops"
CASES = sorted((OPS / "rule_tests").glob("*.yml"))
promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="needs promtool: Debian's package prometheus"
)


def rules(name: str) -> list[dict]:
    groups = yaml.safe_load((OPS / name).read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules("alerts.yml")}
RECORDED = {rule["record"]: rule for rule in rules("recording.yml")}


def test_rules_ask_for_metrics_that_are_told():
    worker = Metrics()
    ShadowMetrics(worker).begin("toy")
    told = {
        sample.name
        for registry in (worker.registry, RefreshMetrics().registry)
        for family in registry.collect()
        for sample in family.samples
    }
    # Those that have series only once something happened.
    told |= {"segue_model_info", "segue_consumer_lag_records", "segue_refresh_learned_seconds"}
    expressions = [rule["expr"] for rule in (*ALERTS.values(), *RECORDED.values())]
    asked = {name for expr in expressions for name in re.findall(r"\b(?:segue|process)_\w+", expr)}
    assert len(asked) > 20
    assert asked - told == set()
    recorded = {name for expr in expressions for name in re.findall(r"\bsegue:[\w:]+", expr)}
    assert recorded <= set(RECORDED)


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_its_section_in_the_runbook(alert):
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "runbook"}
    file, _, anchor = rule["annotations"]["runbook"].partition("#")
    sections = re.split(r"^## ", (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE)
    [section] = [one for one in sections[1:] if one.partition("\n")[0].lower() == anchor]
    assert anchor == alert.lower()
    assert all(f"**{part}**" in section for part in ("Means", "Look", "Do"))


def test_the_runbook_tells_of_no_alert_that_is_gone():
    text = (OPS / "RUNBOOK.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^## (\w+)$", text, re.MULTILINE)) == set(ALERTS)


def test_every_alert_is_tried_where_it_fires_and_where_it_does_not():
    tried = {True: set(), False: set()}
    for case in CASES:
        for test in yaml.safe_load(case.read_text(encoding="utf-8"))["tests"]:
            for one in test.get("alert_rule_test", []):
                tried[bool(one["exp_alerts"])].add(one["alertname"])
    assert tried[True] == set(ALERTS)
    assert tried[False] == set(ALERTS)


def said(*words: object) -> str:
    result = subprocess.run(
        ["promtool", *map(str, words)], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@promtool
def test_promtool_takes_the_rules():
    told = said("check", "rules", OPS / "recording.yml", OPS / "alerts.yml")
    assert f"{len(ALERTS)} rules found" in told
    assert f"{len(RECORDED)} rules found" in told


@promtool
def test_promtool_takes_the_configuration(tmp_path):
    for name in ("recording.yml", "alerts.yml"):
        shutil.copy(OPS / name, tmp_path)
    config = (OPS / "prometheus.yml").read_text(encoding="utf-8")
    assert config.count("/etc/prometheus/") == 2
    (tmp_path / "prometheus.yml").write_text(config.replace("/etc/prometheus", str(tmp_path)))
    assert "2 rule files found" in said("check", "config", tmp_path / "prometheus.yml")


@promtool
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_alerts_fire_where_they_should_and_only_there(case):
    assert "SUCCESS" in said("test", "rules", case)
