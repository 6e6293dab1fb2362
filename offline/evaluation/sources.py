"""From files to splits: what models train on and what they predict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segue.offline.datasets.play_log import PlayLog
from segue.offline.datasets.readers import PlayLogError, read_plays
from segue.offline.datasets.readers.prefix_label import (
    PrefixLabels,
    looks_like_prefix_labels,
    read_prefix_labels,
)
from segue.offline.datasets.splits import (
    Split,
    SplitError,
    k_fold,
    leave_last_out,
    split_by_log,
    split_by_rows,
    time_split,
    windows,
)

PREFIX_LABEL = "prefix-label"


@dataclass(frozen=True)
class SplitChoice:
    """How one log is parted: `how` is time, windows, leave-last-out or kfold."""

    how: str
    test_fraction: float
    windows: int
    folds: int
    seed: int

    @property
    def several(self) -> bool:
        """Return whether models must be trained more than once."""
        return self.how in ("windows", "kfold")


@dataclass(frozen=True)
class SplitSource:
    """Splits, made one by one; facts for the figures; notes for people to read."""

    splits: Iterator[Split]
    facts: dict[str, Any]
    notes: tuple[str, ...]


def open_splits(
    plays_file: Path,
    format_name: str | None,
    test_file: Path | None,
    test_format: str | None,
    choice: SplitChoice,
    *,
    gap_s: float,
    several_allowed: bool,
) -> SplitSource:
    """Read the files and part what is to be learned from what is to be predicted.

    several_allowed: no bundle is to be judged. PlayLogError tells of files that cannot be
    read, SplitError of plays that cannot be parted so.
    """
    if test_file is None and choice.several and not several_allowed:
        raise SplitError(
            f"a bundle was trained once and cannot be judged by --split {choice.how}, where "
            "each part has a training of its own: use --test or --split time, or baselines only"
        )
    log = read_plays(plays_file, format_name)
    if not log.ordered:
        raise PlayLogError(
            f"{plays_file}: a {log.format} log holds counts without an order, in which no song "
            "comes next: give a log whose plays have times or an order, or run `segue "
            "experiment amnn` on it"
        )
    facts: dict[str, Any] = {"plays_file": str(plays_file), "format": log.format}
    notes = list(_bad_rows(plays_file, log))
    if log.skipped_rows:
        facts["skipped_rows"] = log.skipped_rows
    if test_file is None:
        return SplitSource(_parted(log, choice, gap_s), facts, tuple(notes))
    test = _read_test(test_file, test_format)
    facts |= {
        "test_file": str(test_file),
        "test_format": PREFIX_LABEL if isinstance(test, PrefixLabels) else test.format,
        "test_skipped_rows": test.skipped_rows,
    }
    notes += _bad_rows(test_file, test)
    return SplitSource(_given(test_file, log, test, gap_s), facts, tuple(notes))


def _read_test(path: Path, format_name: str | None) -> PlayLog | PrefixLabels:
    if format_name == PREFIX_LABEL or (format_name is None and looks_like_prefix_labels(path)):
        return read_prefix_labels(path)
    log = read_plays(path, format_name)
    if not log.ordered:
        msg = f"{path}: a {log.format} log holds counts without an order, so nothing comes next"
        raise PlayLogError(f"{msg}: give a test log whose plays have times or an order")
    return log


def _given(path: Path, log: PlayLog, test: PlayLog | PrefixLabels, gap_s: float) -> Iterator[Split]:
    if isinstance(test, PrefixLabels):
        yield split_by_rows(path.name, log, test, gap_s)
    else:
        yield split_by_log(path.name, log, test, gap_s)


def _parted(log: PlayLog, choice: SplitChoice, gap_s: float) -> Iterator[Split]:
    if choice.how == "time":
        yield time_split(log, gap_s, choice.test_fraction)
    elif choice.how == "windows":
        yield from windows(log, gap_s, choice.windows, choice.test_fraction)
    elif choice.how == "kfold":
        yield from k_fold(log, gap_s, choice.folds, choice.seed)
    else:
        yield leave_last_out(log, gap_s)


def _bad_rows(path: Path, read: PlayLog | PrefixLabels) -> Iterator[str]:
    if read.skipped_rows:
        yield f"{path}: {read.skipped_rows:,} bad rows left out, the first of them:"
        yield from (f"  {problem}" for problem in read.problems)
    if isinstance(read, PlayLog):
        yield from read.notes
