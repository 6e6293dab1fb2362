import json
import os
import re
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
import yaml
from prometheus_client import CollectorRegistry

from segue.stream.config.settings import Settings, load_settings
from segue.stream.observability.health import Health, serve_health
from segue.stream.observability.metrics import Metrics
from segue.stream.runtime.processes import free_port
from segue.stream.runtime.watchdog import Watchdog
from tests.support.command_lines import refusal, segue_commands

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
DOCKERFILE = (ROOT / "stream" / "Dockerfile").read_text(encoding="utf-8")
PINNED = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+[a-z0-9.-]*")
SCHEMA = json.loads(
    (files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text("utf-8")
)
OURS = ["topics", "worker", "refresh", "ui"]


def environment(service: str) -> dict[str, str]:
    """Give what compose sets; what it only hands on is left out."""
    given = SERVICES[service].get("environment", {})
    return {name: str(value) for name, value in given.items() if value is not None}


def script(service: str) -> str:
    """Give a service's command as shell text; compose writes a dollar sign twice."""
    command = SERVICES[service]["command"]
    text = command[2] if command[:2] == ["sh", "-c"] else " ".join(command)
    return text.replace("$$", "$")


def broken_rules(compose) -> list[str]:
    """Name what the compose specification does not allow, and where."""
    checked = jsonschema.Draft7Validator(SCHEMA)
    return [f"{one.json_path}: {one.message}" for one in checked.iter_errors(compose)]


def test_the_file_keeps_to_the_compose_specification():
    assert broken_rules(COMPOSE) == []


@pytest.mark.parametrize(
    ("service", "wrong"),
    [
        ("worker", {"helthcheck": {}}),
        ("kafka", {"ports": [True]}),
        ("grafana", {"restart": ["always"]}),
        ("refresh", {"depends_on": {"topics": {"condition": "service_started_well"}}}),
    ],
)
def test_a_slip_of_the_pen_breaks_the_specification(service, wrong):
    services = SERVICES | {service: SERVICES[service] | wrong}
    assert broken_rules(COMPOSE | {"services": services})


def test_the_services_are_the_broker_the_topics_the_workers_and_what_watches_them():
    watching = {"prometheus", "grafana"}
    assert set(SERVICES) == {"kafka", "topics", "worker", "refresh", "ui", *watching}
    asked_for = {name: parts["profiles"] for name, parts in SERVICES.items() if "profiles" in parts}
    assert asked_for == {"refresh": ["refresh"], "ui": ["ui"]}


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_a_fixed_image_and_bounds(service):
    parts = SERVICES[service]
    assert PINNED.fullmatch(parts["image"])
    assert set(parts["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert parts["restart"] == ("no" if service == "topics" else "unless-stopped")
    assert parts["cap_drop"] == ["ALL"]
    assert parts["security_opt"] == ["no-new-privileges:true"]
    assert not parts.get("privileged")
    assert service == "topics" or parts["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("service", SERVICES)
def test_ports_are_open_to_this_machine_alone(service):
    for port in SERVICES[service].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)
    assert "network_mode" not in SERVICES[service]


def test_workers_can_be_scaled():
    assert "ports" not in SERVICES["worker"]
    assert "container_name" not in SERVICES["worker"]
    assert SERVICES["worker"]["stop_grace_period"]


def test_there_is_no_password_that_everybody_knows():
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8").lower()
    assert [
        line for line in text.splitlines() if re.search(r"passw.*[:=]|secret|token", line)
    ] == []


@pytest.mark.parametrize("service", OURS)
def test_what_compose_sets_are_settings_with_values_they_take(service, tmp_path):
    given = SERVICES[service]["environment"]
    assert {name.removeprefix("SEGUE_").lower() for name in given} <= set(Settings.model_fields)
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            "from segue.stream.config.settings import load_settings; load_settings()",
        ],
        env={"PYTHONPATH": str(ROOT), **environment(service)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("service", OURS)
def test_what_compose_runs_is_what_segue_takes(service):
    [arguments] = segue_commands(script(service))
    assert arguments[0] == service
    assert refusal(arguments) is None


def test_workers_find_the_broker_and_people_too():
    kafka = environment("kafka")
    advertised = kafka["KAFKA_ADVERTISED_LISTENERS"].split(",")
    inside, outside = (one.partition("://")[2] for one in advertised)
    assert environment("worker")["SEGUE_KAFKA_BOOTSTRAP"] == inside
    assert outside == Settings.model_fields["kafka_bootstrap"].default
    assert f"{outside}:{outside.rpartition(':')[2]}" in SERVICES["kafka"]["ports"]
    assert kafka["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    protocols = kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")
    named = [one.partition("://")[0] for one in kafka["KAFKA_LISTENERS"].split(",")]
    assert sorted(one.partition(":")[0] for one in protocols) == sorted(named)


def test_the_groups_place_is_kept_for_longer_than_the_plays():
    minutes = int(environment("kafka")["KAFKA_OFFSETS_RETENTION_MINUTES"])
    assert minutes / (24 * 60) > load_settings().topic_retention_days


def test_services_start_in_the_order_they_need_each_other():
    assert SERVICES["topics"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}
    completed = {"condition": "service_completed_successfully"}
    assert SERVICES["worker"]["depends_on"] == {"topics": completed}


def mounts(service: str) -> list[list[str]]:
    return [mount.split(":") for mount in SERVICES[service].get("volumes", [])]


def test_state_lies_in_named_volumes_and_the_rest_is_only_read():
    named = set()
    for name, (source, _, *options) in ((s, mount) for s in SERVICES for mount in mounts(s)):
        if source.startswith("."):
            assert options == ([] if name == "refresh" else ["ro"])
            assert source in ("./bundles", "./rules") or (ROOT / source).exists()
        else:
            named.add(source)
    assert named == set(COMPOSE["volumes"])


def test_a_bundle_has_the_same_path_inside_as_outside():
    places = {source: target for source, target, *_ in mounts("worker")}
    workdir = re.findall(r"^WORKDIR (\S+)", DOCKERFILE, re.MULTILINE)[-1]
    assert places["./bundles"] == f"{workdir}/bundles"
    assert places["histories"] == environment("worker")["SEGUE_DATA_DIR"]


def test_every_setting_can_be_given():
    decided = {"kafka_bootstrap", "data_dir", "metrics_host", "metrics_port", "topic_replication"}
    names = {name for service in OURS for name in SERVICES[service]["environment"]}
    left = set(Settings.model_fields) - {n.removeprefix("SEGUE_").lower() for n in names} - decided
    # Those are for brokers that ask for more than this one.
    assert {name for name in left if not name.startswith("kafka_")} == set()


def test_rules_have_the_same_path_inside_as_outside():
    places = {source: target for source, target, *_ in mounts("worker")}
    assert places["./rules"] == f"{re.findall(r'^WORKDIR (.+)$', DOCKERFILE, re.M)[-1]}/rules"


def metrics_port() -> int:
    default = Settings.model_fields["metrics_port"].default
    return int(environment("worker").get("SEGUE_METRICS_PORT", default))


def test_the_health_check_tells_a_worker_that_answers_from_one_that_does_not():
    program, *arguments = SERVICES["worker"]["healthcheck"]["test"][1:]
    assert program == "python"
    assert f":{metrics_port()}/" in arguments[1]

    def healthy(port: int) -> bool:
        asked = [arguments[0], arguments[1].replace(str(metrics_port()), str(port))]
        environment = {**os.environ, "http_proxy": "http://127.0.0.1:1"}
        check = subprocess.run([sys.executable, *asked], env=environment, capture_output=True)
        return check.returncode == 0

    port = free_port()
    assert not healthy(port)
    health = Health("it begins")
    health.started(Watchdog(60, ["the event loop"]))
    health.assigned([])
    serve_health(load_settings(metrics_port=port), Metrics(CollectorRegistry()).registry, health)
    assert healthy(port)


@pytest.mark.skipif(not shutil.which("flock"), reason="needs flock, as the image has it")
def test_every_worker_takes_a_store_of_its_own_and_the_next_one_takes_over(tmp_path):
    stand_in = tmp_path / "bin" / "segue"
    stand_in.parent.mkdir()
    stand_in.write_text('#!/bin/sh\necho "$@"\nexec sleep 60\n')
    stand_in.chmod(0o755)
    histories = tmp_path / "his tories"
    histories.mkdir()
    given = {"PATH": f"{stand_in.parent}:{os.environ['PATH']}", "SEGUE_DATA_DIR": str(histories)}

    def start() -> tuple[subprocess.Popen[str], str]:
        started = subprocess.Popen(
            ["sh", "-c", script("worker")], env=given, stdout=subprocess.PIPE, text=True
        )
        return started, started.stdout.readline()

    def stop(worker: subprocess.Popen[str]) -> None:
        worker.kill()
        worker.wait()
        worker.stdout.close()

    workers = [start() for _ in range(3)]
    try:
        said = [line for _, line in workers]
        assert said == [f"worker --data-dir {histories}/{slot}\n" for slot in (1, 2, 3)]
        stop(workers[1][0])
        workers.append(start())
        assert workers[-1][1] == said[1]
    finally:
        for worker, _ in workers:
            stop(worker)


@pytest.mark.skipif(not shutil.which("flock"), reason="needs flock, as the image has it")
def test_without_a_slot_a_worker_ends_with_a_reason(tmp_path):
    missing = tmp_path / "missing"
    result = subprocess.run(
        ["sh", "-c", script("worker")],
        env={"PATH": os.environ["PATH"], "SEGUE_DATA_DIR": str(missing)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert result.returncode != 0
    assert str(missing) in result.stderr
