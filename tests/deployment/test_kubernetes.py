"""The manifests: what Kubernetes takes, with the settings and commands that Segue takes.

The schemas are large, so that `make test-deployment` brings them; the rest is tested always.
"""

import copy
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from segue.offline.cli.refresh import refresh
from segue.stream.config.settings import Settings
from tests.support.command_lines import refusal, segue_commands

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "stream" / "ops" / "kubernetes"
KUSTOMIZED = yaml.safe_load((FOLDER / "kustomization.yaml").read_text(encoding="utf-8"))
MANIFESTS = [
    manifest
    for name in KUSTOMIZED["resources"]
    for manifest in yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8"))
]
VERSIONS = ["1.33", "1.36"]


def of(kind: str) -> dict[str, dict]:
    found = [one for one in MANIFESTS if one["kind"] == kind]
    return {one["metadata"]["name"]: one for one in found}


SETTINGS = of("ConfigMap")["segue-settings"]["data"]
RUNNING = of("StatefulSet") | of("Job")
PODS = {name: one["spec"]["template"] for name, one in RUNNING.items()}


def container(name: str) -> dict:
    [found] = PODS[name]["spec"]["containers"]
    return found


def validate(manifest: dict, version: str) -> None:
    from kubernetes_validate import validate

    validate(manifest, version, strict=True)


schemas = pytest.mark.skipif(
    importlib.util.find_spec("kubernetes_validate") is None, reason="make test-deployment"
)


@schemas
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda one: one["kind"])
def test_kubernetes_takes_every_manifest(manifest, version):
    validate(manifest, version)


@schemas
@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (("spec", "replica"), 2),
        (("spec", "template", "spec", "containers", 0, "livenessProbe", "periodSeconds"), "often"),
        (("spec", "template", "spec", "enableServiceLink"), False),
        (("spec", "volumeClaimTemplates", 0, "spec", "accessModes"), "ReadWriteOnce"),
    ],
)
def test_a_slip_of_the_pen_is_not_taken(place, wrong):
    from kubernetes_validate import ValidationError

    broken = copy.deepcopy(of("StatefulSet")["worker"])
    *path, last = place
    inside = broken
    for step in path:
        inside = inside[step]
    inside[last] = wrong
    with pytest.raises(ValidationError):
        validate(broken, VERSIONS[-1])


def test_every_file_is_named():
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(KUSTOMIZED["resources"]) == files


@pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl")
def test_kustomize_puts_them_together():
    result = subprocess.run(["kubectl", "kustomize", FOLDER], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    made = list(yaml.safe_load_all(result.stdout))
    assert len(made) == len(MANIFESTS)
    spaces = {one["metadata"].get("namespace") for one in made if one["kind"] != "Namespace"}
    assert spaces == {KUSTOMIZED["namespace"]} == set(of("Namespace"))


def test_nothing_secret_is_written_down():
    assert of("Secret") == {}
    assert not [name for name in SETTINGS if "PASSWORD" in name]


def test_what_processes_are_told_are_settings_with_values_they_take(tmp_path):
    assert {n.removeprefix("SEGUE_").lower() for n in SETTINGS} <= set(Settings.model_fields)
    code = (
        "from segue.stream.config.settings import load_settings as load;"
        " print(load().model_dump_json())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT), **SETTINGS},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["metrics_host"] == "0.0.0.0"


@pytest.mark.parametrize("name", PODS)
def test_what_runs_is_what_segue_takes(name):
    [arguments] = segue_commands(" ".join(container(name)["command"]))
    assert arguments[0] == name
    assert refusal(arguments) is None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert container(name)["image"] == f"segue:{project['project']['version']}"


@pytest.mark.parametrize("name", PODS)
def test_pods_are_told_nothing_that_is_no_setting_and_may_do_nothing_else(name):
    spec, inside = PODS[name]["spec"], container(name)
    # Else SEGUE_... of a service called so would end every process with a wrong setting.
    assert spec["enableServiceLinks"] is False
    assert spec["automountServiceAccountToken"] is False
    dockerfile = (ROOT / "stream" / "Dockerfile").read_text(encoding="utf-8")
    assert spec["securityContext"]["runAsUser"] == int(
        re.findall(r"^USER (\d+)", dockerfile, re.M)[0]
    )
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert inside["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(inside["resources"]) == {"requests", "limits"}
    sources = [one.get("configMapRef") or one["secretRef"] for one in inside["envFrom"]]
    assert sources == [{"name": "segue-settings"}, {"name": "segue-kafka", "optional": True}]


@pytest.mark.parametrize("name", PODS)
def test_what_is_mounted_is_there_where_segue_looks_for_it(name):
    spec, inside = PODS[name]["spec"], container(name)
    claims = RUNNING[name]["spec"].get("volumeClaimTemplates", [])
    volumes = {one["name"] for one in (*spec["volumes"], *(one["metadata"] for one in claims))}
    places = {one["name"]: one["mountPath"] for one in inside["volumeMounts"]}
    assert set(places) == volumes
    if name != "topics":
        dockerfile = (ROOT / "stream" / "Dockerfile").read_text(encoding="utf-8")
        home = re.findall(r"^WORKDIR (\S+)", dockerfile, re.MULTILINE)[-1]
        assert places["state"] == f"{home}/{SETTINGS['SEGUE_DATA_DIR']}"
        assert places["bundles"] == f"{home}/{SETTINGS['SEGUE_BUNDLE_ROOT']}"
        claimed = [one["persistentVolumeClaim"]["claimName"] for one in spec["volumes"][:1]]
        assert set(claimed) <= set(of("PersistentVolumeClaim"))


def test_probes_ask_where_the_metrics_are():
    [option] = [one for one in refresh.params if one.name == "metrics_port"]
    ports = {"worker": Settings.model_fields["metrics_port"].default, "refresh": option.default}
    for name, port in ports.items():
        inside = container(name)
        assert inside["ports"] == [{"name": "metrics", "containerPort": port}]
        asked = {kind: inside[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness")}
        assert all(one == {"path": "/livez", "port": "metrics"} for one in asked.values())
        assert inside["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}
        [found] = of("Service")[name]["spec"]["ports"]
        assert (found["port"], found["targetPort"]) == (port, "metrics")


def test_services_and_budgets_find_their_pods():
    for name, one in of("StatefulSet").items():
        labels = PODS[name]["metadata"]["labels"]
        assert one["spec"]["serviceName"] == name
        assert one["spec"]["selector"]["matchLabels"] == labels
        assert of("Service")[name]["spec"]["selector"] == labels
        assert of("Service")[name]["metadata"]["labels"] == labels
    budget = of("PodDisruptionBudget")["worker"]["spec"]
    assert budget["selector"]["matchLabels"] == PODS["worker"]["metadata"]["labels"]


def test_there_are_no_more_workers_than_partitions():
    replicas = of("StatefulSet")["worker"]["spec"]["replicas"]
    assert replicas <= int(SETTINGS["SEGUE_TOPIC_PARTITIONS"])
    assert of("StatefulSet")["refresh"]["spec"]["replicas"] == 1


def test_prometheus_calls_the_jobs_what_the_rules_call_them():
    monitor = yaml.safe_load((FOLDER / "monitoring/servicemonitor.yaml").read_text("utf-8"))
    [endpoint] = monitor["spec"]["endpoints"]
    [relabelled] = endpoint["relabelings"]
    assert endpoint["port"] == "metrics"
    jobs = {
        relabelled["replacement"].replace(
            "$1", one["metadata"]["labels"]["app.kubernetes.io/component"]
        )
        for one in of("Service").values()
    }
    rules = (ROOT / "stream" / "ops" / "alerts.yml").read_text(encoding="utf-8")
    assert jobs == set(re.findall(r'job="([\w-]+)"', rules))
