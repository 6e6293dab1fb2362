"""Python's garbage collector in a worker: rarely, and not among what was loaded."""

from __future__ import annotations

import gc


def calm_collector() -> None:
    """Look for reference cycles more rarely, and never among what was loaded.

    A batch makes tens of thousands of small objects and no cycles; with Python's defaults the
    collector takes as long as the model. To be called again once a model is swapped in. The one
    before it holds no cycle and goes by itself: to look through everything for it would stop
    the worker for a fifth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
