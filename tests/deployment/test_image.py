"""The image of `segue`: fixed, small, not root's, and made of what the project has."""

import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import yaml

from segue.stream.config.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "stream" / "Dockerfile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_image_is_fixed_small_and_not_roots():
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", bases[0])
    assert re.search(r"^USER [1-9]\d*$", DOCKERFILE.rpartition("FROM ")[2], re.MULTILINE)
    assert compose["services"]["worker"]["image"] == f"segue:{PROJECT['project']['version']}"


def test_the_images_health_check_asks_whether_the_process_lives():
    """With a server that knows nothing but that path; then with none."""
    [command] = re.findall(r"^HEALTHCHECK .*CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    program, *arguments = json.loads(command)
    assert program == "python"

    class Lives(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/livez" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    def healthy(port: int) -> bool:
        given = {**os.environ, "SEGUE_METRICS_PORT": str(port), "http_proxy": "http://127.0.0.1:1"}
        check = subprocess.run([sys.executable, *arguments], env=given, capture_output=True)
        return check.returncode == 0

    with HTTPServer(("127.0.0.1", 0), Lives) as server:
        port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert healthy(port)
        server.shutdown()
    assert not healthy(port)
    assert "or 9464" in arguments[1]
    assert Settings.model_fields["metrics_port"].default == 9464


def test_the_image_holds_every_package_and_keeps_to_the_constraints():
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    }
    packages = {name.partition(".")[0] for name in PROJECT["tool"]["setuptools"]["packages"]}
    assert packages | {"pyproject.toml", "constraints.txt", PROJECT["project"]["readme"]} <= copied
    ignored = (ROOT / "stream" / "Dockerfile.dockerignore").read_text(encoding="utf-8")
    assert copied == {line[1:] for line in ignored.splitlines() if line.startswith("!")}
    assert all((ROOT / source).exists() for source in copied)
    joined = DOCKERFILE.replace("\\\n", " ")
    for line in re.findall(r"pip install .*", joined):
        assert "--constraint constraints.txt" in line or "--no-deps ." in line
