"""How fast a replay was: kept apart from the figures, which are the same at any speed."""

from __future__ import annotations

from typing import Any

import numpy as np

from offline.replay.runs import Ran


def timing(ran: Ran) -> dict[str, Any]:
    """Give plays/s of one variant, and the time that `handle_plays` took for a batch and a play.

    Only what was replayed this time counts. None where nothing was.
    """
    batches = np.array([batch for done in ran.done for batch in done.batches]).reshape(-1, 2)
    worked = [done for done in ran.done if done.batches]
    refreshing = {"refresh_cpu_s": ran.variant.refresh_cpu_s} if ran.variant.refreshes else {}
    if not worked:
        return {"plays": 0, "plays_per_s": None, **refreshing}
    plays, handling_s = batches.sum(0)
    seconds = max(done.ended_s for done in worked) - min(done.began_s for done in worked)
    p50, p99 = np.percentile(batches[:, 1], [50, 99]) * 1000
    return {
        "plays": int(plays),
        "plays_per_s": float(plays / max(seconds, 1e-9)),
        "handle_ms_per_play": float(1000 * handling_s / max(plays, 1)),
        "batch_plays_p50": float(np.median(batches[:, 0])),
        "batch_ms_p50": float(p50),
        "batch_ms_p99": float(p99),
        **refreshing,
    }


def popularity_plays_per_s(ran: Ran) -> float | None:
    """Give how many plays a second lists of popular songs alone would take; None: none was made."""
    plays = sum(count for done in ran.done for count, _ in done.batches)
    seconds = sum(done.popularity_s for done in ran.done)
    return float(plays / seconds) if seconds else None
