"""Context features of time and skips.

The time of a context is that of the session's last play, after which a next song is recommended.
Hours and weekdays are points on a circle, so that 23:59 is next to 00:00. They are those of UTC:
where a listener lives is not known, but a listener's own plays are all shifted alike.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from segue.models.data.play_metadata import UNKNOWN
from segue.models.data.sessions import Contexts
from segue.models.ops.jit import compiled

TIME_AND_SKIP_FEATURES = (
    *("has_time", "hour_sin", "hour_cos", "weekday_sin", "weekday_cos", "gap", "away"),
    *("has_skips", "last_skipped", "skipped_share"),
)
"""gap: log(1 + seconds) between the session's last two plays. away: the same between its first
play and the one before it, of an earlier session. skipped_share: of the session's plays."""
TIMES = TIME_AND_SKIP_FEATURES[:7]
SKIPS = TIME_AND_SKIP_FEATURES[7:]
DAY_MS = 86_400_000
MONDAY_MS = 4 * DAY_MS
"""The first Monday of the Unix epoch."""


def context_features(contexts: Contexts) -> NDArray[np.float32]:
    """Return TIME_AND_SKIP_FEATURES of each context, float32 [B, M]; 0 where unknown."""
    features = np.zeros((len(contexts), len(TIME_AND_SKIP_FEATURES)), np.float32)
    during, before = contexts.session_details, contexts.history_details
    if len(during):
        earlier = before.filled(len(contexts.histories.values)).played_at_ms
        _write_times(
            during.played_at_ms,
            contexts.sessions.offsets,
            earlier,
            contexts.histories.offsets,
            features[:, : len(TIMES)],
        )
        _write_skips(during.skipped, contexts.sessions.offsets, features[:, len(TIMES) :])
    return features


@compiled
def _write_times(
    times: NDArray[np.int64],
    offsets: NDArray[np.int64],
    earlier: NDArray[np.int64],
    earlier_offsets: NDArray[np.int64],
    features: NDArray[np.float32],
) -> None:
    for row in range(len(offsets) - 1):
        begin, end = offsets[row], offsets[row + 1]
        if begin == end or times[end - 1] == UNKNOWN:
            continue
        now = times[end - 1]
        hour = 2 * math.pi * (now % DAY_MS) / DAY_MS
        weekday = 2 * math.pi * ((now - MONDAY_MS) // DAY_MS % 7) / 7
        features[row, 0] = 1
        features[row, 1], features[row, 2] = math.sin(hour), math.cos(hour)
        features[row, 3], features[row, 4] = math.sin(weekday), math.cos(weekday)
        if end - begin > 1:
            features[row, 5] = _log_seconds(times[end - 2], now)
        last = earlier_offsets[row + 1] - 1
        if last >= earlier_offsets[row]:
            features[row, 6] = _log_seconds(earlier[last], times[begin])


@compiled
def _log_seconds(first: int, then: int) -> float:
    """Return log(1 + seconds) between two times; 0 where one is unknown, or they run back."""
    if first == UNKNOWN or then == UNKNOWN:
        return 0.0
    return math.log1p(max(then - first, 0) / 1000)


@compiled
def _write_skips(
    skipped: NDArray[np.int8], offsets: NDArray[np.int64], features: NDArray[np.float32]
) -> None:
    for row in range(len(offsets) - 1):
        known, skips = 0, 0
        for place in range(offsets[row], offsets[row + 1]):
            known += skipped[place] != UNKNOWN
            skips += skipped[place] == 1
        if known > 0:
            features[row, 0] = 1
            features[row, 1] = skipped[offsets[row + 1] - 1] == 1
            features[row, 2] = skips / known
