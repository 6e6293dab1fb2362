"""Kinds of judged plays, so that a mean hides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offline.replay.collect import JudgedPlays
from offline.replay.records import HEARD, IN_SESSION, KNOWN

Slices = Mapping[str, Mapping[str, NDArray[np.bool_]]]
"""By what plays are parted, the parts by name, and a mask [P] for each."""

POSITIONS = {"0": (0, 0), "1": (1, 1), "2": (2, 2), "3-5": (3, 5), "6-10": (6, 10), "11+": (11, 0)}
REMEMBERED = {"1-4": (1, 4), "5-19": (5, 19), "20-99": (20, 99), "100+": (100, 0)}


def slices(plays: JudgedPlays, has_bundle: bool) -> Slices:
    """Part the plays in four ways.

    answer: what the song was to the listener, as far as histories reach. position: plays of the
    session before it, 0 where it opens one. listener: plays remembered before it: the new ones
    have few. song: whether the first bundle knows it.
    """
    flags = plays.records["flags"]
    in_session = (flags & IN_SESSION) > 0
    heard = ((flags & HEARD) > 0) & ~in_session
    known = (flags & KNOWN) > 0
    found: dict[str, Mapping[str, NDArray[np.bool_]]] = {
        "answer": {
            "in the session": in_session,
            "heard before": heard,
            "new to the listener": ~in_session & ~heard,
        },
        "position": _between(plays.records["position"], POSITIONS),
        "listener": _between(plays.records["remembered"], REMEMBERED),
    }
    if has_bundle:
        found["song"] = {"known to the bundle": known, "new to the bundle": ~known}
    return found


def _between(
    values: NDArray[Any], parts: Mapping[str, tuple[int, int]]
) -> dict[str, NDArray[np.bool_]]:
    """Part values at bounds; an upper bound of 0 with a lower one above it is none."""
    return {
        name: (values >= low) & ((values <= high) | (high < low))
        for name, (low, high) in parts.items()
    }
