"""Child processes that end with us, however we end."""

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
