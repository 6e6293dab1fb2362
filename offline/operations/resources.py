"""Memory of processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil

SELF = Path("/proc/self")
RESET_PEAK = "5"  # written to clear_refs, it sets the peak to the current value


def reset_peak() -> None:
    """Reset the peak that `peak_mib` returns; no effect where the system cannot."""
    try:
        (SELF / "clear_refs").write_text(RESET_PEAK)
    except OSError:
        return


def peak_mib() -> float | None:
    """Return the peak resident memory of this process in MiB, None where it is unknown.

    Since `reset_peak`, or since the process started where that has no effect.
    """
    try:
        lines = (SELF / "status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    [kib] = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(kib) / 1024


@dataclass(frozen=True)
class Resident:
    """Resident memory of a process in MiB. own: anonymous; file: pages of mapped files."""

    own: float
    file: float


def resident_mib(process: psutil.Process | None = None) -> Resident | None:
    """Return the resident memory of a process, by default this one; None where it has ended."""
    try:
        memory = (process or psutil.Process()).memory_info()
    except psutil.NoSuchProcess:
        return None
    shared = getattr(memory, "shared", 0)  # unknown outside Linux
    return Resident((memory.rss - shared) / 2**20, shared / 2**20)
