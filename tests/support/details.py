"""When songs were played, and which were skipped, in short."""

from __future__ import annotations

import numpy as np

from segue.models.data.play_metadata import UNKNOWN, PlayDetails

SECOND, HOUR, DAY = 1000, 3_600_000, 86_400_000
TUESDAY_SIX = 5 * DAY + 6 * HOUR  # 1970-01-06, 06:00 UTC
MORNING, EVENING = 4 * DAY + 8 * HOUR, 4 * DAY + 20 * HOUR


def details(times: list[int], skipped: list[int] | None = None) -> PlayDetails:
    reported = np.full(len(times), UNKNOWN) if skipped is None else np.array(skipped)
    return PlayDetails(np.array(times, np.int64), reported.astype(np.int8))
