"""Docker Compose itself reads the file. It needs no Docker for that: `make test-deployment`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).parent / "docker-compose"
pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="make test-deployment")


def read(*options: str, **given: str) -> dict:
    """Give the services as Docker Compose would start them where these variables are set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEGUE_")}
    result = subprocess.run(
        [PROGRAM, *options, "config", "--format", "json"],
        env=kept | given,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return json.loads(result.stdout)["services"]


def test_it_takes_the_file_and_leaves_refresh_to_its_profile():
    everyday = {"kafka", "topics", "worker", "prometheus", "grafana"}
    assert set(read()) == everyday
    assert set(read("--profile", "refresh")) == everyday | {"refresh"}


def test_settings_reach_the_processes_that_read_them():
    services = read("--profile", "refresh", SEGUE_RULES_FILE="rules/a.toml", SEGUE_GROUP_ID="b")
    assert services["worker"]["environment"]["SEGUE_RULES_FILE"] == "rules/a.toml"
    assert services["worker"]["environment"]["SEGUE_LIST_LENGTH"] is None
    told = {name: services[name]["environment"] for name in ("topics", "worker", "refresh")}
    assert {one["SEGUE_GROUP_ID"] for one in told.values()} == {"b"}
    assert "SEGUE_RULES_FILE" not in told["refresh"]
