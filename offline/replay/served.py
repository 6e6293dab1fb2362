"""Which bundles made captured lists, where models were swapped while they were captured."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

from models.recommender import PopularityRecommender
from offline.bundle_root import list_bundles
from offline.replay.sources import ReplayError
from offline.replay.verification import captured_lists

Served = Mapping[int, tuple[tuple[int, Path | None], ...]]
"""By partition, the bundles that made its lists: from which offset on, and where each lies."""


def served_bundles(capture: Path, root: Path) -> Served:
    """Tell from captured lists which bundle below `root` served when.

    A worker swaps models between two batches, and every list names the one that made it: so a
    replay can swap at the same plays. Raises ReplayError where a bundle is not there.
    """
    models: dict[int, dict[int, str]] = {}
    for _, made in captured_lists(capture):
        # A list that was published again, by a later model perhaps, does not count.
        models.setdefault(made.cause.partition, {}).setdefault(made.cause.offset, made.model)
    places = _bundles(root)
    missing = sorted({one for each in models.values() for one in each.values()} - places.keys())
    if missing:
        raise ReplayError(
            f"{capture} holds lists of {', '.join(missing)}, and no bundle below {root} is that: "
            "name with --bundle-root where they lie"
        )
    return {
        partition: tuple(
            (next(offsets)[0], places[model])
            for model, offsets in groupby(sorted(by_offset.items()), lambda one: one[1])
        )
        for partition, by_offset in models.items()
    }


def _bundles(root: Path) -> dict[str, Path | None]:
    found: dict[str, Path | None] = {PopularityRecommender.version: None}
    return found | {row.version: root / row.location for row in list_bundles(root, None)}
