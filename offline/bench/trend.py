"""How a figure goes over hours, and whether it grows beyond doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ALLOWED_GROWTH = 0.05  # of the level, an hour: what may pass for flat
HOUR_S = 3600.0


@dataclass(frozen=True)
class Trend:
    """How a figure went: its median, its slope an hour with a 95 % interval, and the verdict."""

    level: float
    slope: float
    low: float
    high: float

    @property
    def grows(self) -> bool:
        """Whether it grows beyond doubt, by more than its limit.

        >>> Trend(100.0, 3.0, 1.0, 6.0).grows, Trend(100.0, 9.0, 6.0, 12.0).grows
        (False, True)
        """
        return self.low > self.limit

    @property
    def limit(self) -> float:
        """What may pass for flat: a twentieth of the level in an hour."""
        return ALLOWED_GROWTH * self.level

    @property
    def is_sure(self) -> bool:
        """Whether growth beyond the limit is ruled out, and not only unproven.

        >>> Trend(100.0, 3.0, 1.0, 4.0).is_sure, Trend(100.0, 3.0, 1.0, 6.0).is_sure
        (True, False)
        """
        return self.high <= self.limit


def trend(at_s: Sequence[float], values: Sequence[float]) -> Trend:
    """Fit a line by the median of all pairs' slopes (Theil and Sen), which outliers do not move.

    >>> found = trend([0.0, 1800.0, 3600.0, 5400.0], [10.0, 11.0, 12.0, 13.0])
    >>> round(found.slope, 3), found.level
    (2.0, 11.5)
    """
    from scipy.stats import theilslopes

    hours = np.asarray(at_s) / HOUR_S
    slope, _, low, high = theilslopes(values, hours, alpha=0.95)
    return Trend(float(np.median(values)), float(slope), float(low), float(high))
