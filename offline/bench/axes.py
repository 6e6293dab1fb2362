"""Logarithmic axes whose ticks are plain numbers."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

MILLION, THOUSAND = 1_000_000, 1_000


def logarithmic(axes: Axes, *names: str) -> None:
    """Make the axes named "x" or "y" logarithmic, with ticks at 1, 2, 5, 10 and so on."""
    for name in names:
        getattr(axes, f"set_{name}scale")("log")
        axis = getattr(axes, f"{name}axis")
        axis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
        axis.set_minor_formatter(NullFormatter())


def written(value: float) -> str:
    """Write a number as briefly as it can be.

    >>> [written(value) for value in (0.1, 10, 2_000, 2e6)]
    ['0.1', '10', '2k', '2M']
    """
    if value >= MILLION:
        return f"{value / MILLION:g}M"
    return f"{value / THOUSAND:g}k" if value >= THOUSAND else f"{value:g}"
