"""The most memory that a piece of work took, as Linux counts it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SELF = Path("/proc/self")
FORGET_PEAK = "5"  # what clear_refs takes for "the peak is what is resident now"


def forget_peak() -> None:
    """Begin to measure anew; do nothing where the system cannot."""
    try:
        (SELF / "clear_refs").write_text(FORGET_PEAK)
    except OSError:
        return


def peak_mib() -> float | None:
    """Give the largest resident memory of this process, MiB, None where nobody counts it.

    It is that since `forget_peak`, or since the process began where that cannot be.
    """
    try:
        lines = (SELF / "status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    [kib] = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(kib) / 1024


@dataclass(frozen=True)
class Resident:
    """What of a process lies in memory, MiB. own: its alone; file: pages of mapped files."""

    own: float
    file: float


def resident_mib(process: Path = SELF) -> Resident | None:
    """Say what of a process, /proc/NUMBER, is resident now, None where nobody counts it."""
    try:
        lines = (process / "status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    kib = {line.partition(":")[0]: line.split()[1] for line in lines if line.startswith("Rss")}
    if not kib:  # it has ended, and nobody has asked yet how
        return None
    return Resident(int(kib["RssAnon"]) / 1024, int(kib["RssFile"]) / 1024)
