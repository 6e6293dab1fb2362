"""The moment at which a next song is asked for: when it is, how long since, and what was skipped.

It is the time of the session's last play, which is when its listener is told what comes next.
Hours and weekdays are points on a circle, so that 23:59 lies beside 00:00. They are those of
UTC: where a listener lives is not known, but a listener's own plays are all shifted alike.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from segue.models.data.play_metadata import UNKNOWN
from segue.models.data.sessions import Contexts
from segue.models.ops.jit import compiled

MOMENT_FEATURES = (
    *("has_time", "hour_sin", "hour_cos", "weekday_sin", "weekday_cos", "gap", "away"),
    *("has_skips", "last_skipped", "skipped_share"),
)
"""gap: log(1 + seconds) between the session's last two plays. away: the same between its first
play and the one before it, of an earlier session. skipped_share: of the session's plays."""
TIMES = MOMENT_FEATURES[:7]
SKIPS = MOMENT_FEATURES[7:]
DAY_MS = 86_400_000
MONDAY_MS = 4 * DAY_MS
"""The first Monday of the Unix epoch."""


def asked_ms(contexts: Contexts) -> NDArray[np.int64]:
    """Give when next songs are asked for, Unix milliseconds, int64 [B]; UNKNOWN: not told."""
    details, sessions = contexts.session_details, contexts.sessions
    times = np.full(len(contexts), UNKNOWN, np.int64)
    if len(details):
        some = sessions.lengths > 0
        times[some] = details.played_at_ms[sessions.offsets[1:][some] - 1]
    return times


def describe_moments(contexts: Contexts) -> NDArray[np.float32]:
    """Give MOMENT_FEATURES of each context, float32 [B, M]; 0 where unknown."""
    told = np.zeros((len(contexts), len(MOMENT_FEATURES)), np.float32)
    during, before = contexts.session_details, contexts.history_details
    if len(during):
        earlier = before.filled(len(contexts.histories.values)).played_at_ms
        _describe_times(
            during.played_at_ms,
            contexts.sessions.offsets,
            earlier,
            contexts.histories.offsets,
            told[:, : len(TIMES)],
        )
        _describe_skips(during.skipped, contexts.sessions.offsets, told[:, len(TIMES) :])
    return told


@compiled
def _describe_times(
    times: NDArray[np.int64],
    offsets: NDArray[np.int64],
    earlier: NDArray[np.int64],
    earlier_offsets: NDArray[np.int64],
    told: NDArray[np.float32],
) -> None:
    for row in range(len(offsets) - 1):
        begin, end = offsets[row], offsets[row + 1]
        if begin == end or times[end - 1] == UNKNOWN:
            continue
        now = times[end - 1]
        hour = 2 * math.pi * (now % DAY_MS) / DAY_MS
        weekday = 2 * math.pi * ((now - MONDAY_MS) // DAY_MS % 7) / 7
        told[row, 0] = 1
        told[row, 1], told[row, 2] = math.sin(hour), math.cos(hour)
        told[row, 3], told[row, 4] = math.sin(weekday), math.cos(weekday)
        if end - begin > 1:
            told[row, 5] = _log_seconds(times[end - 2], now)
        last = earlier_offsets[row + 1] - 1
        if last >= earlier_offsets[row]:
            told[row, 6] = _log_seconds(earlier[last], times[begin])


@compiled
def _log_seconds(first: int, then: int) -> float:
    """Give log(1 + seconds) from one time to another; 0 where one is unknown, or they run back."""
    if first == UNKNOWN or then == UNKNOWN:
        return 0.0
    return math.log1p(max(then - first, 0) / 1000)


@compiled
def _describe_skips(
    skipped: NDArray[np.int8], offsets: NDArray[np.int64], told: NDArray[np.float32]
) -> None:
    for row in range(len(offsets) - 1):
        known, skips = 0, 0
        for place in range(offsets[row], offsets[row + 1]):
            known += skipped[place] != UNKNOWN
            skips += skipped[place] == 1
        if known > 0:
            told[row, 0] = 1
            told[row, 1] = skipped[offsets[row + 1] - 1] == 1
            told[row, 2] = skips / known
