"""A child process says how it ended, stops when asked, and outlives nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from segue.stream.runtime.processes import ChildProcess, ProcessFailed

SLEEP = ["/bin/sh", "-c", "echo up; exec sleep 60"]
DEAF = ["/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"]


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_it_runs_for_the_block_and_its_output_goes_to_the_log(tmp_path):
    log_file = tmp_path / "logs" / "child.log"
    with ChildProcess(SLEEP, log_file=log_file) as child:
        child.wait_until(lambda: child.log() == "up\n", 5, "up")
        assert child.is_running
        assert child.status is None
    assert not child.is_running
    assert child.status == -signal.SIGTERM


def test_one_that_ignores_sigterm_is_killed_after_its_grace():
    child = ChildProcess(DEAF, hidden=True).start()
    child.wait_until(lambda: child.log() == "up\n", 5, "up")
    assert child.stop(0.1) == -signal.SIGKILL


def test_the_log_is_that_of_the_last_start(tmp_path):
    log_file = tmp_path / "child.log"
    child = ChildProcess(["/bin/sh", "-c", "echo $$"], log_file=log_file)
    pids = []
    for _ in range(2):
        assert child.start().wait() == 0
        pids.append(child.pid)
        assert child.log() == f"{child.pid}\n"
        child.stop()
    assert log_file.read_text().split() == [str(pid) for pid in pids]


def test_one_that_ends_too_early_is_named_with_its_status_and_the_end_of_its_log():
    child = ChildProcess(["/bin/sh", "-c", "echo no disk; exit 3"], name="worker", hidden=True)
    with pytest.raises(ProcessFailed, match=r"(?s)worker ended with status 3; .*no disk"), child:
        child.wait_until(lambda: False, 5, "ready")


def test_one_that_is_not_ready_in_time_is_named():
    with (
        pytest.raises(ProcessFailed, match=r"sh is not ready after 0\.05 s"),
        ChildProcess(SLEEP, hidden=True) as child,
    ):
        child.wait_until(lambda: False, 0.05, "ready")


def test_it_dies_with_its_parent_even_by_kill_9():
    code = (
        "import time; from segue.stream.runtime.processes import ChildProcess\n"
        f"print(ChildProcess({SLEEP!r}, hidden=True).start().pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, cwd=Path(__file__).parents[4], stdout=subprocess.PIPE, text=True, env=os.environ
    ) as parent:
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
    deadline = time.monotonic() + 5
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(pid)
