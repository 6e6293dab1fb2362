"""A clock that goes only where it is set."""

from __future__ import annotations

import pytest


class Clock:
    """now: seconds."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return one that stands at 0."""
    return Clock()
