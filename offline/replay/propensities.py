"""Lists of a replay judged by what was really shown, where the log says with what chance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segue.models.data.vocabulary import Vocabulary
from segue.offline.metrics.off_policy import (
    Estimate,
    Logged,
    cross_fitted_means,
    doubly_robust,
    ips,
    snips,
)
from segue.offline.replay.record_log import PLAY, Ints, Logs
from segue.offline.replay.sources import ReplayError

COLUMNS = {
    "partition": pl.Int64,  # of the play that the shown song followed
    "offset": pl.Int64,
    "song_id": pl.String,  # that was shown
    "propensity": pl.Float64,  # with which it was
    "reward": pl.Float64,  # what came of it: 1 where it was played to its end, say
}
FOLDS = 2


def read_shown(file: Path) -> pl.DataFrame:
    """Read what was shown, COLUMNS, from CSV or Parquet."""
    try:
        table = pl.read_parquet(file) if file.suffix == ".parquet" else pl.read_csv(file)
        missing = [name for name in COLUMNS if name not in table.columns]
        if missing:
            raise ReplayError(f"{file}: no column {', '.join(missing)}: give {', '.join(COLUMNS)}")
        shown = table.select(pl.col(name).cast(kind) for name, kind in COLUMNS.items())
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ReplayError(f"{file}: cannot be read: {str(error).splitlines()[0]}") from error
    if shown.null_count().sum_horizontal().item():
        raise ReplayError(f"{file}: a value is missing: every row needs {', '.join(COLUMNS)}")
    return shown


def counterfactual(
    shown: pl.DataFrame,
    logs: Logs,
    partitions: Sequence[int],
    catalogue: Vocabulary,
    slots: int,
) -> dict[str, Any]:
    """Estimate the mean reward of showing one of each list's first `slots` songs, drawn evenly.

    Rewards of a song in other listeners' plays predict its reward for the doubly robust
    estimate. Rows about no replayed play are left out and counted.
    """
    parts = [
        _one(shown.filter(pl.col("partition") == partition), logs, which, catalogue, slots)
        for which, partition in enumerate(partitions)
    ]
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    rewards, propensities, songs, listeners = columns[:4]
    lists: Ints = columns[4]
    if not len(rewards):
        raise ReplayError("--propensities names no play that was replayed")
    target = (lists == songs[:, None]).any(1) / np.maximum((lists > 0).sum(1), 1)
    logged = Logged(rewards, propensities, target)
    ahead, own = _forecasts(songs, rewards, listeners, lists)
    estimates = {"ips": ips(logged), "dr": doubly_robust(logged, own, ahead)}
    if target.any():
        estimates["snips"] = snips(logged)
    return {
        "shown": len(rewards),
        "left_out": shown.height - len(rewards),
        "slots": slots,
        "logged_reward": float(rewards.mean()),
        "effective_samples": logged.effective_samples,
        **{name: _told(found) for name, found in sorted(estimates.items())},
    }


def _one(
    shown: pl.DataFrame, logs: Logs, which: int, catalogue: Vocabulary, slots: int
) -> tuple[NDArray[Any], ...]:
    """Return rewards, propensities, songs, listeners and lists [N, slots] of one partition."""
    log, numbers = logs.logs[which], logs.numbers[which]
    places = shown["offset"].to_numpy() - log.first
    inside = (places >= 0) & (places < log.count)
    records = log.read()[places[inside]]
    inside[inside] = (records["flags"] & PLAY) > 0
    records = records[(records["flags"] & PLAY) > 0]
    kept = shown.filter(pl.Series(inside))
    songs = [catalogue.number(song_id) or -1 for song_id in kept["song_id"]]
    return (
        kept["reward"].to_numpy(),
        kept["propensity"].to_numpy(),
        np.array(songs, dtype=np.int64),
        records["listener"],
        numbers[records["songs"][:, :slots]],
    )


def _forecasts(
    songs: Ints, rewards: NDArray[np.float64], listeners: Ints, lists: Ints
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Foretell the reward of each list, and of each logged song, from other listeners' plays."""
    folds = (listeners & 1).astype(np.int64)
    width = int(max(songs.max(), lists.max())) + 2
    known = np.where(songs < 0, width - 1, songs)  # one group of the songs that no list holds
    means = cross_fitted_means(known, rewards, folds, (FOLDS, width))
    listed = lists > 0
    ahead = (means[folds[:, None], lists] * listed).sum(1) / np.maximum(listed.sum(1), 1)
    return ahead, means[folds, known]


def _told(estimate: Estimate) -> dict[str, Any]:
    low, high = estimate.interval
    return {"value": estimate.value, "ci": [low, high]}
