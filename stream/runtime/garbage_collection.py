"""Python's cycle collector, tuned for batches that make many objects and no cycles."""

from __future__ import annotations

import gc


def tune_garbage_collector() -> None:
    """Collect cycles more rarely, and never among the objects that are loaded now.

    A batch makes tens of thousands of small objects and no cycles; with Python's defaults the
    collector takes as long as the model. Call it again once a model is swapped in. The model
    before holds no cycle and is freed by reference counts: a full collection for it would stop
    the worker for a fifth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
