"""The manifests: Kubernetes takes them, Segue takes their settings and commands.

The schemas are large, so that `make test-deployment` installs them; the rest is tested always.
"""

import copy
import importlib.util
import re
import shutil
import subprocess
import tomllib

import pytest
import yaml

from segue.offline.cli.refresh import refresh
from segue.stream.config.settings import Settings
from tests.deployment.files import OPS, ROOT, read_yaml, refused_settings
from tests.support.command_lines import refusal, segue_commands

FOLDER = OPS / "kubernetes"
KUSTOMIZED = read_yaml(FOLDER / "kustomization.yaml")
MANIFESTS = [
    manifest
    for name in KUSTOMIZED["resources"]
    for manifest in yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8"))
]
VERSIONS = ["1.33", "1.36"]
schemas = pytest.mark.skipif(
    importlib.util.find_spec("kubernetes_validate") is None, reason="make test-deployment"
)


def of(kind: str) -> dict[str, dict]:
    found = [one for one in MANIFESTS if one["kind"] == kind]
    return {one["metadata"]["name"]: one for one in found}


SETTINGS = of("ConfigMap")["segue-settings"]["data"]
PODS = {name: one["spec"]["template"] for name, one in (of("StatefulSet") | of("Job")).items()}


def container(name: str) -> dict:
    [found] = PODS[name]["spec"]["containers"]
    return found


@schemas
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda one: one["kind"])
def test_kubernetes_accepts_every_manifest(manifest, version):
    from kubernetes_validate import validate

    validate(manifest, version, strict=True)


@schemas
def test_kubernetes_rejects_a_misspelt_field():
    from kubernetes_validate import ValidationError, validate

    broken = copy.deepcopy(of("StatefulSet")["worker"])
    broken["spec"]["template"]["spec"]["enableServiceLink"] = False
    with pytest.raises(ValidationError):
        validate(broken, VERSIONS[-1], strict=True)


@pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl")
def test_kustomize_puts_them_together():
    result = subprocess.run(["kubectl", "kustomize", FOLDER], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    made = list(yaml.safe_load_all(result.stdout))
    assert len(made) == len(MANIFESTS)
    spaces = {one["metadata"].get("namespace") for one in made if one["kind"] != "Namespace"}
    assert spaces == {KUSTOMIZED["namespace"]} == set(of("Namespace"))


def test_every_file_is_listed():
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(KUSTOMIZED["resources"]) == files


def test_segue_accepts_the_settings_and_none_is_secret():
    assert refused_settings(SETTINGS) == ""
    assert of("Secret") == {}
    assert [name for name in SETTINGS if "PASSWORD" in name] == []


@pytest.mark.parametrize("name", PODS)
def test_segue_accepts_the_command(name):
    [arguments] = segue_commands(" ".join(container(name)["command"]))
    assert arguments[0] == name
    assert refusal(arguments) is None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert container(name)["image"] == f"segue:{project['project']['version']}"


@pytest.mark.parametrize("name", PODS)
def test_pods_get_no_variables_of_services(name):
    # SEGUE_... of a service called so would end every process with a wrong setting.
    assert PODS[name]["spec"]["enableServiceLinks"] is False
    sources = [one.get("configMapRef") or one["secretRef"] for one in container(name)["envFrom"]]
    assert sources == [{"name": "segue-settings"}, {"name": "segue-kafka", "optional": True}]


def test_probes_and_services_use_the_ports_of_settings_and_options():
    [option] = [one for one in refresh.params if one.name == "metrics_port"]
    ports = {"worker": Settings.model_fields["metrics_port"].default, "refresh": option.default}
    for name, port in ports.items():
        assert container(name)["ports"] == [{"name": "metrics", "containerPort": port}]
        [found] = of("Service")[name]["spec"]["ports"]
        assert (found["port"], found["targetPort"]) == (port, "metrics")
    assert (
        int(SETTINGS["SEGUE_TOPIC_PARTITIONS"]) >= of("StatefulSet")["worker"]["spec"]["replicas"]
    )


def test_prometheus_calls_the_jobs_what_the_rules_call_them():
    [endpoint] = read_yaml(FOLDER / "monitoring/servicemonitor.yaml")["spec"]["endpoints"]
    [relabelled] = endpoint["relabelings"]
    labels = [one["metadata"]["labels"] for one in of("Service").values()]
    jobs = {
        relabelled["replacement"].replace("$1", one["app.kubernetes.io/component"])
        for one in labels
    }
    rules = (OPS / "alerts.yml").read_text(encoding="utf-8")
    assert jobs == set(re.findall(r'job="([\w-]+)"', rules))
