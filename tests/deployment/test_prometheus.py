"""A real Prometheus beside a real worker under load: every panel and every rule has data.

`make test-prometheus`; it takes some minutes. What needs a fault to happen (a bundle that
is refused, rules with a mistake) is made to happen, and its alert must fire.
"""

import json
import os
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import pytest
import yaml
from kafka import KafkaProducer

from segue.models.data.vocabulary import Vocabulary
from segue.stream.kafka.clients import kafka_python_config
from segue.stream.kafka.topics import ensure_topics
from segue.stream.messages.events import PlayEvent, encode
from segue.stream.runtime.processes import free_port
from segue.stream.serving.model_registry import (
    ModelVersion,
    promote,
    publish_active_model,
    read_model_registry,
)
from tests.deployment.files import dashboard_queries
from tests.support.brokers import own_settings
from tests.support.live import SEGUE, Worker, environment
from tests.support.toy import number_sessions, paired_sessions, write_toy_bundle
from tests.support.toy_hybrid import fit_hybrid, write_hybrid

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(
        not os.environ.get("SEGUE_TEST_PROMETHEUS"), reason="takes minutes: make test-prometheus"
    ),
    pytest.mark.skipif(
        not shutil.which("prometheus"), reason="needs Prometheus: Debian's package prometheus"
    ),
]

OPS = Path(__file__).parents[2] / "stream" / "ops"
PAIRS = 30
START_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
PATIENCE_S = 420  # the worker compiles before it begins
PROVOKED = {"BundleRefusedByWorker", "RulesRefused"}
# A toy world's refreshed bundle may well be set aside.
ALLOWED = {"RefreshedBundleSetAside"}
SELECTOR = re.compile(r"\b(?:segue|process|up)[\w:]*(?:\{[^}]*\})?")


class Load:
    """Sessions without end, in a thread: every round is an hour of five listeners."""

    def __init__(self, settings):
        self.settings = settings
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._send)

    def _send(self):
        producer = KafkaProducer(**kafka_python_config(self.settings), linger_ms=5)
        topic = self.settings.topic_plays
        sessions = paired_sessions(PAIRS, 100_000, seed=2)
        number = 0
        while not self.ended.wait(0.5):
            for session in sessions[number : number + 5]:
                user = f"user-{number % 40}"
                # One song in seven is new to the model.
                for place, song_id in enumerate([*session, "released-midway"]):
                    at_ms = START_MS + number // 5 * HOUR_MS + place * 100
                    play = PlayEvent(f"e{number}-{place}", user, song_id, at_ms)
                    producer.send(topic, key=user.encode(), value=encode(play))
                number += 1
            producer.send(topic, key=b"?", value=b"no play")
            producer.flush()
        producer.close()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


class Prometheus:
    """Debian's Prometheus with the project's configuration, in a hurry. targets: job -> port."""

    def __init__(self, folder, targets):
        folder.mkdir()
        config = yaml.safe_load((OPS / "prometheus.yml").read_text("utf-8"))
        port = free_port()
        places = {job: [f"127.0.0.1:{at}"] for job, at in {**targets, "prometheus": port}.items()}
        config["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s"}
        config["global"]["evaluation_interval"] = "2s"
        config["scrape_configs"] = [
            {"job_name": job["job_name"], "static_configs": [{"targets": places[job["job_name"]]}]}
            for job in config["scrape_configs"]
        ]
        for name in ("recording.yml", "alerts.yml"):
            rules = (OPS / name).read_text("utf-8").replace("interval: 15s", "interval: 2s")
            (folder / name).write_text(rules, encoding="utf-8")
        config["rule_files"] = [str(folder / Path(one).name) for one in config["rule_files"]]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        self.url = f"http://127.0.0.1:{port}/api/v1"
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *("prometheus", f"--config.file={folder / 'prometheus.yml'}"),
                    *(f"--storage.tsdb.path={folder / 'data'}", "--log.level=warn"),
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log,
                stderr=log,
            )

    def ask(self, path, **parameters):
        opener = build_opener(ProxyHandler({}))
        with opener.open(f"{self.url}/{path}?{urlencode(parameters)}", timeout=10) as answer:
            return json.load(answer)["data"]

    def data(self, expr):
        """Return the values that an expression has now, without those that are no numbers."""
        found = self.ask("query", query=expr)["result"]
        return [float(one["value"][1]) for one in found if one["value"][1] != "NaN"]

    def wait(self):
        deadline = time.monotonic() + 30
        while True:
            assert self.process.poll() is None, self.log.read_text()
            try:
                return self.ask("status/buildinfo")
            except OSError:
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.2)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture(scope="module")
def live(broker, tmp_path_factory):
    """Return a Prometheus that watches a worker with a trial, and a refresh, under load."""
    folder = tmp_path_factory.mktemp("live")
    root, songs = folder / "bundles", Vocabulary()
    log = number_sessions(paired_sessions(PAIRS, 300, seed=1), songs)
    version = write_hybrid(root / "hybrid" / "first", fit_hybrid(log, songs, epochs=2), log).version
    write_toy_bundle(folder / "trial", songs=2 * PAIRS)
    write_toy_bundle(root / "damaged", songs=6)
    rules = folder / "rules.toml"
    rules.write_text("[songs]\nblock = ['song-1']\n")
    settings = own_settings(
        broker, bundle_root=root, rules_file=rules, shadow_bundle=folder / "trial"
    )
    ensure_topics(settings)
    publish_active_model(settings, promote(ModelVersion(version, "hybrid/first"), None))
    port, refresh_port = free_port(), free_port()
    given = settings.model_copy(update={"data_dir": folder / "data"})
    worker = Worker(given, folder / "worker.log", "--metrics-port", str(port))
    with (folder / "refresh.log").open("wb") as said:
        words = ["--every-plays", "500", "--metrics-port", str(refresh_port)]
        given = settings.model_copy(update={"data_dir": folder / "data-refresh"})
        refresh = subprocess.Popen(
            [*SEGUE, "refresh", *words], env=environment(given), stdout=said, stderr=said
        )
    targets = {"segue-worker": port, "segue-refresh": refresh_port}
    watching = Prometheus(folder / "prometheus", targets)
    try:
        watching.wait()
        with Load(settings):
            wait_for(watching, "min(segue_plays_total) > 500", [*folder.glob("*.log")])
            rules.write_text("[songs]\nblcok = ['song-1']\n")
            announce_damaged(settings, root, watching)
            yield watching
        assert worker.process.poll() is None, worker.log()
    finally:
        watching.stop()
        for process in (worker.process, refresh):
            process.kill()
            process.wait()


def announce_damaged(settings, root, watching):
    """Announce a bundle that is damaged, and once it is refused what was active before."""
    weights = root / "damaged" / "weights.safetensors"
    version = json.loads((root / "damaged" / "manifest.json").read_text())["version"]
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    active = read_model_registry(settings).active
    made = promote(ModelVersion(version, "damaged"), active)
    publish_active_model(settings, made)
    wait_for(watching, "sum(segue_models_refused_total) > 0", [])
    publish_active_model(settings, promote(active.current, made))


def wait_for(watching, expr, logs):
    deadline = time.monotonic() + PATIENCE_S
    while not watching.data(expr):
        assert time.monotonic() < deadline, [log.read_text()[-2000:] for log in logs]
        time.sleep(1)


def filled(expr):
    """Put in what Grafana puts in for its variables."""
    given = {"$__rate_interval": "30s", "$window": "5m", "$instance": ".+"}
    for name, value in given.items():
        expr = expr.replace(name, value)
    return expr


def without_data(watching, expressions):
    """Return the expressions that still have no data when patience ends."""
    deadline = time.monotonic() + PATIENCE_S
    left = list(expressions)
    while left and time.monotonic() < deadline:
        left = [expr for expr in left if not watching.data(expr)]
        time.sleep(1 if left else 0)
    return left


def rules_of(watching, kind):
    groups = watching.ask("rules")["groups"]
    return [rule for group in groups for rule in group["rules"] if rule["type"] == kind]


def test_every_query_of_every_panel_has_data(live):
    asked = [filled(query) for query in dashboard_queries()]
    assert len(asked) > 60
    assert without_data(live, asked) == []


def test_every_recording_rule_has_data(live):
    recorded = rules_of(live, "recording")
    assert len(recorded) == 14
    assert without_data(live, [rule["name"] for rule in recorded]) == []


def test_every_selector_of_every_alert_has_data(live):
    selectors = {
        one for rule in rules_of(live, "alerting") for one in SELECTOR.findall(rule["query"])
    }
    assert len(selectors) > 15
    assert without_data(live, sorted(selectors)) == []


def test_no_rule_fails_and_what_was_provoked_fires(live):
    deadline = time.monotonic() + PATIENCE_S
    while True:
        alerts = rules_of(live, "alerting")
        firing = {rule["name"] for rule in alerts if rule["state"] == "firing"}
        if firing >= PROVOKED or time.monotonic() > deadline:
            break
        time.sleep(1)
    assert PROVOKED <= firing <= PROVOKED | ALLOWED
    everything = [*alerts, *rules_of(live, "recording")]
    assert {
        rule["name"]: rule.get("lastError") for rule in everything if rule["health"] != "ok"
    } == {}
