"""Child processes that end with us, however we end, and how they are ended before."""

from __future__ import annotations

import subprocess


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
