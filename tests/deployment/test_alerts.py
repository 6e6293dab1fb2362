"""Recording and alerting rules: promtool checks them, each alert has a runbook section."""

import re
import shutil
import subprocess

import pytest

from tests.deployment.files import OPS, ROOT, published_series, read_yaml

CASES = sorted((OPS / "rule_tests").glob("*.yml"))
promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="needs promtool: Debian's package prometheus"
)


def rules(name: str) -> list[dict]:
    groups = read_yaml(OPS / name)["groups"]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules("alerts.yml")}
RECORDED = {rule["record"]: rule for rule in rules("recording.yml")}


def test_rules_query_metrics_that_are_published():
    expressions = [rule["expr"] for rule in (*ALERTS.values(), *RECORDED.values())]
    queried = {n for expr in expressions for n in re.findall(r"\b(?:segue|process)_\w+", expr)}
    assert len(queried) > 20
    assert queried - published_series() == set()
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


def test_the_runbook_has_no_section_of_an_alert_that_is_gone():
    text = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^## (\w+)$", text, re.MULTILINE)) == set(ALERTS)


def test_every_alert_is_tried_where_it_fires_and_where_it_does_not():
    tried = {True: set(), False: set()}
    for case in CASES:
        for test in read_yaml(case)["tests"]:
            for one in test.get("alert_rule_test", []):
                tried[bool(one["exp_alerts"])].add(one["alertname"])
    assert tried[True] == set(ALERTS)
    assert tried[False] == set(ALERTS)


def promtool_output(*words: object) -> str:
    result = subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@promtool
def test_promtool_accepts_the_rules():
    output = promtool_output("check", "rules", OPS / "recording.yml", OPS / "alerts.yml")
    assert f"{len(ALERTS)} rules found" in output
    assert f"{len(RECORDED)} rules found" in output


@promtool
def test_promtool_accepts_the_configuration(tmp_path):
    for name in ("recording.yml", "alerts.yml"):
        shutil.copy(OPS / name, tmp_path)
    config = (OPS / "prometheus.yml").read_text(encoding="utf-8")
    assert config.count("/etc/prometheus/") == 2
    (tmp_path / "prometheus.yml").write_text(config.replace("/etc/prometheus", str(tmp_path)))
    assert "2 rule files found" in promtool_output("check", "config", tmp_path / "prometheus.yml")


@promtool
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_alerts_fire_where_they_should_and_only_there(case):
    assert "SUCCESS" in promtool_output("test", "rules", case)
