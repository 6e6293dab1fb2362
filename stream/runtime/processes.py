"""Child processes that end with us, however we end, and how they are ended before."""

from __future__ import annotations

import gc
import socket
import subprocess


def calm_collector() -> None:
    """Look for reference cycles more rarely, and never among what was loaded.

    A batch makes tens of thousands of small objects and no cycles; with Python's defaults the
    collector takes as long as the model. To be called again once a model is swapped in. The one
    before it holds no cycle and goes by itself: to look through everything for it would stop
    the worker for a fifth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def guard(pid: int) -> subprocess.Popen[bytes]:
    """Start a process that kills `pid` as soon as we are gone, even by kill -9.

    It waits for the end of a pipe that only we hold open, which every way of dying closes.
    """
    return subprocess.Popen(
        ["/bin/sh", "-c", 'read -r _; kill -9 "$1"', "guard", str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """Ask a process to end, and end it by force after `grace_s` seconds."""
    process.terminate()
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def release(guardian: subprocess.Popen[bytes]) -> None:
    """End a guard whose process has ended: it must not kill whoever gets that number next."""
    guardian.kill()
    guardian.wait()
    if guardian.stdin is not None:
        guardian.stdin.close()


def free_port(host: str = "127.0.0.1") -> int:
    """Give a port that is free now, though somebody may take it before it is listened on."""
    with socket.create_server((host, 0)) as server:
        port: int = server.getsockname()[1]
        return port
