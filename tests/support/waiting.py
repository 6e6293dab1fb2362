"""Waiting for what another process or thread does, as long as a busy machine may need."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 300.0  # one number for all: it costs nothing where all is well


def wait_until(holds: Callable[[], object], explain: Callable[[], str] = lambda: "") -> None:
    """Wait until `holds` is true; fail with an explanation once patience ends."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"it never came to be\n{explain()}"
        time.sleep(0.05)
