"""What compose starts, started without Docker: its commands, environments and health checks.

As they stand in the file, but for the broker's address, ports and folders. `make test-deployment`.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from segue.stream.runtime.processes import free_port
from tests.deployment.files import SERVICES, compose_environment
from tests.support.brokers import own_settings
from tests.support.live import Reader, answered, environment, event, produce_events
from tests.support.toy import write_toy_bundle
from tests.support.waiting import PATIENCE_S

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(
        not os.environ.get("SEGUE_TEST_DEPLOYMENT"), reason="takes minutes: make test-deployment"
    ),
]


@pytest.fixture
def home(tmp_path):
    """Return a working directory with a bundle, as the image's would be mounted."""
    write_toy_bundle(tmp_path / "home/bundles/toy", songs=30)
    return tmp_path / "home"


@pytest.fixture
def settings(broker, home):
    return own_settings(broker, data_dir=home, bundle=Path("bundles/toy"))


def given(service, settings, port):
    """Return a service's environment, with what is of this test in the place of compose's own."""
    own = {
        name: value
        for name, value in environment(settings).items()
        if name in SERVICES[service]["environment"] and value
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEGUE_")}
    kept["PATH"] = f"{Path(sys.executable).parent}:{kept['PATH']}"
    return kept | compose_environment(service) | own | {"SEGUE_METRICS_PORT": str(port)}


def command(service):
    """Return a service's command as Docker would run it; compose writes a dollar sign twice."""
    return [word.replace("$$", "$") for word in SERVICES[service]["command"]]


@contextmanager
def running(service, settings, home, *options):
    """Start a service's command and give the port of its metrics, or of its page."""
    port = free_port()
    log = home / f"{service}-{port}.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [*command(service), *(one.format(port=port) for one in options)],
            env=given(service, settings, port),
            cwd=home,
            stdout=said,
            stderr=said,
        )
    try:
        wait_until_healthy(service, process, port, log)
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0, log.read_text()[-3000:]
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def wait_until_healthy(service, process, port, log):
    _, program, *arguments = SERVICES[service]["healthcheck"]["test"]
    assert program == "python"
    usual = {"worker": 9464, "refresh": 9465, "ui": 8800}[service]
    assert f":{usual}/" in arguments[-1]
    arguments[-1] = arguments[-1].replace(f":{usual}/", f":{port}/")
    deadline = time.monotonic() + PATIENCE_S
    while subprocess.run([sys.executable, *arguments], capture_output=True).returncode:
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(1)


def test_everything_of_ours_starts_is_healthy_works_and_ends(settings, home):
    topics = subprocess.run(
        command("topics"),
        env=given("topics", settings, 0),
        cwd=home,
        capture_output=True,
        text=True,
    )
    assert topics.returncode == 0, topics.stderr
    refreshing = settings.model_copy(update={"bundle_root": Path("bundles")})
    with (
        running("worker", settings, home),
        running("worker", settings, home),
        running("refresh", refreshing, home, "--metrics-port", "{port}"),
        running("ui", settings, home, "--port", "{port}"),
    ):
        reader = Reader(settings, settings.topic_recommendations)
        places = produce_events(settings, [event(n, f"u{n % 5}", f"song-{n}") for n in range(20)])
        reader.read_until(answered(places))
        reader.close()
        assert {path.name for path in home.glob("*.lock")} >= {"1.lock", "2.lock"}
