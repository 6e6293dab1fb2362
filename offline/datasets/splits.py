"""Splits of play logs into training sessions and next songs to predict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts, SessionLog
from segue.models.data.vocabulary import PADDING, Vocabulary
from segue.models.errors import SegueError
from segue.offline.datasets.play_log import PlayLog
from segue.offline.datasets.readers.prefix_label import PrefixLabels
from segue.offline.datasets.sessions import Numbering, Predictions


class SplitError(SegueError):
    """Plays that cannot be split as requested."""


@dataclass(frozen=True)
class Split:
    """Training sessions, and next songs to predict that are not among them.

    catalogue: the songs of `train`, which are all that can be recommended. to_ms, from_ms: the
    last play to train on and the first to predict, for a split by time; else None. one_log:
    both parts are of one log, so a model trained on all of it has seen the answers.
    """

    name: str
    train: SessionLog
    catalogue: Vocabulary
    predictions: Predictions
    to_ms: int | None = None
    from_ms: int | None = None
    one_log: bool = False


def listeners_known(log: PlayLog) -> bool:
    """Return whether the log has listeners; else each session is a listener of its own."""
    plays = log.plays
    return bool((plays["user_id"].ne_missing(plays["session_id"])).any())


def split_by_log(
    name: str, train: PlayLog, test: PlayLog, gap_s: float, max_history: int = 200
) -> Split:
    """Train on one log and predict every play of another but the sessions' first ones.

    Histories come from `train` and the earlier sessions of `test`, where both have listeners.
    """
    numbering = Numbering()
    learned = numbering.number(train, gap_s)
    catalogue = Vocabulary(numbering.songs.song_ids)
    test_sessions = numbering.number(test, gap_s)
    past = learned if listeners_known(train) and listeners_known(test) else None
    predictions = Predictions.of(test_sessions, len(catalogue), past=past, max_history=max_history)
    timed = train.timed and test.timed
    return _checked(
        Split(
            name,
            learned,
            catalogue,
            predictions,
            _last_ms(train) if timed else None,
            _first_ms(test) if timed else None,
        )
    )


def split_by_rows(name: str, train: PlayLog, test: PrefixLabels, gap_s: float) -> Split:
    """Train on a log and predict the label of every row of a test file from its prefix."""
    numbering = Numbering()
    learned = numbering.number(train, gap_s)
    catalogue = numbering.songs
    prefix = test.rows["prefix"]
    lengths = prefix.list.len().to_numpy().astype(np.int64)
    prefixes = Ragged.from_lengths(_numbers(prefix.explode(), catalogue), lengths)
    sessions = test.sessions().to_numpy()
    same = np.arange(len(catalogue) + 1)
    return _checked(
        Split(
            name,
            learned,
            catalogue,
            Predictions(
                Contexts.of(prefixes.translate(same)),
                _numbers(test.rows["label"], catalogue),
                sessions,
                sessions,
                lengths,
            ),
        )
    )


def by_time(log: PlayLog, fractions: Sequence[float]) -> list[PlayLog]:
    """Split a log by time into parts with these shares of its plays, e.g. (0.8, 0.1, 0.1).

    Plays of one millisecond are never separated; a session across a boundary is split there.
    """
    if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(f"fractions must be > 0 and add up to 1, got {list(fractions)!r}")
    cuts = np.cumsum([0.0, *fractions])
    return [_between(log, begin, end) for begin, end in pairwise(cuts)]


def time_split(log: PlayLog, gap_s: float, test_fraction: float) -> Split:
    """Train on the first plays, predict the last `test_fraction` of them."""
    train, test = by_time(log, (1 - test_fraction, test_fraction))
    split = split_by_log("time", _some(train, "train"), _some(test, "test"), gap_s)
    # Synthetic times are fine here: both parts are of one log.
    return replace(split, one_log=True, to_ms=_last_ms(train), from_ms=_first_ms(test))


def windows(log: PlayLog, gap_s: float, count: int, test_fraction: float) -> Iterator[Split]:
    """Yield `count` sliding windows over the log, each split by time like `time_split`.

    A window moves by its test part, so no play is predicted twice: with test share t every
    window has 1 / (1 + (count - 1) t) of the plays.
    """
    share = 1 / (1 + (count - 1) * test_fraction)
    for number in range(count):
        begin = number * share * test_fraction
        window = _between(log, begin, min(begin + share, 1.0))
        split = time_split(_some(window, "window"), gap_s, test_fraction)
        yield replace(split, name=f"window {number + 1} of {count}")


def leave_last_out(log: PlayLog, gap_s: float, max_history: int = 200) -> Split:
    """Train on all but the last play of each listener, and predict that one.

    Without listeners that is the last play of each session. The play of a listener with one
    play is only trained on.
    """
    numbering = Numbering()
    sessions = numbering.number(log, gap_s)
    plays = np.bincount(sessions.listeners, weights=sessions.sessions.lengths)
    last = _last_sessions(sessions)
    last = last[plays[sessions.listeners[last]] > 1]
    kept = np.ones(len(sessions.sessions.values), dtype=bool)
    kept[sessions.sessions.offsets[1:][last] - 1] = False
    train = sessions.keep(kept)
    numbers, catalogue = _train_first(train.sessions.values, numbering.songs)
    past = None
    if listeners_known(log):
        past = _take(sessions, np.setdiff1d(np.arange(len(sessions)), last), numbers)
    test_sessions = _take(sessions, last, numbers)
    predictions = Predictions.last_of(
        test_sessions, len(catalogue), past=past, max_history=max_history
    )
    learned = _take(train, np.arange(len(train)), numbers)
    return _checked(Split("leave-last-out", learned, catalogue, predictions, one_log=True))


def k_fold(log: PlayLog, gap_s: float, folds: int, seed: int) -> Iterator[Split]:
    """Split the sessions at random into `folds`; predict each fold, train on the others.

    For logs without times: training data may be later than the test data. So histories are
    empty here.
    """
    numbering = Numbering()
    sessions = numbering.number(log, gap_s)
    if len(sessions) < folds:
        msg = f"{len(sessions)} sessions are too few for {folds} folds"
        raise SplitError(f"{msg}: give a longer log, or a lower --folds")
    fold = np.random.default_rng(seed).permutation(len(sessions)) % folds
    for number in range(folds):
        learned, test_sessions = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        numbers, catalogue = _train_first(sessions.sessions.take(learned).values, numbering.songs)
        predictions = Predictions.of(_take(sessions, test_sessions, numbers), len(catalogue))
        train = _take(sessions, learned, numbers)
        name = f"fold {number + 1} of {folds}"
        yield _checked(Split(name, train, catalogue, predictions, one_log=True))


def _checked(split: Split) -> Split:
    if not len(split.predictions):
        msg = f"{split.name}: no session of the test part has two plays, so no song follows another"
        raise SplitError(f"{msg}: give a longer log, or a larger test part")
    return split


def _some(log: PlayLog, part: str) -> PlayLog:
    if log.plays.is_empty():
        msg = f"the {part} part of the log has no plays, as too many have the same time"
        raise SplitError(f"{msg}: give a longer log, fewer windows or another test share")
    return log


def _between(log: PlayLog, begin: float, end: float) -> PlayLog:
    """Return the plays from share `begin` to share `end`; no millisecond is separated."""
    times = log.plays["played_at_ms"]
    # Sums of shares have rounding errors in their last bits.
    first, after = (int(round(len(times) * share, 6)) for share in (begin, end))
    at, plays = pl.col("played_at_ms"), log.plays
    if after < len(times):
        plays = plays.filter(at < times[after])
    if first > 0:
        plays = plays.filter(at >= times[first])
    return replace(log, plays=plays, skipped_rows=0, problems=())


def _first_ms(log: PlayLog) -> int:
    first: int = log.plays["played_at_ms"][0]
    return first


def _last_ms(log: PlayLog) -> int:
    last: int = log.plays["played_at_ms"][-1]
    return last


def _numbers(songs: pl.Series, catalogue: Vocabulary) -> NDArray[np.int64]:
    distinct = songs.unique()
    numbers = [catalogue.number(song_id) or PADDING for song_id in distinct]
    return songs.replace_strict(distinct, numbers, return_dtype=pl.Int64).to_numpy()


def _last_sessions(sessions: SessionLog) -> NDArray[np.int64]:
    """Return the row of each listener's last session, ascending."""
    _, backwards = np.unique(sessions.listeners[::-1], return_index=True)
    return np.sort(len(sessions) - 1 - backwards)


def _train_first(
    train: NDArray[np.int64], songs: Vocabulary
) -> tuple[NDArray[np.int64], Vocabulary]:
    """Renumber songs: training songs from 1 in the order of their first plays, then the others.

    train: item numbers in the order of their plays. Returns the new number by the old one,
    int64 [V + 1], and the vocabulary of the training songs alone.
    """
    distinct, first = np.unique(train, return_index=True)
    ordered = distinct[np.argsort(first)]
    rest = np.setdiff1d(np.arange(1, len(songs) + 1), distinct)
    numbers = np.zeros(len(songs) + 1, dtype=np.int64)
    numbers[np.concatenate([ordered, rest])] = np.arange(1, len(songs) + 1)
    return numbers, Vocabulary(songs.songs(ordered))


def _take(sessions: SessionLog, rows: NDArray[np.int64], numbers: NDArray[np.int64]) -> SessionLog:
    """Return these sessions with other item numbers."""
    return sessions.take(rows).translate(numbers)
