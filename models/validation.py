"""Checks of config fields; each raises ValueError that names the field, the bound and the value."""

from __future__ import annotations


def require_above(config: object, bound: float, *names: str) -> None:
    """Reject fields that are not above a bound."""
    for name in names:
        _require(getattr(config, name) > bound, config, name, f"> {bound}")


def require_at_least(config: object, bound: float, *names: str) -> None:
    """Reject fields that are below a bound."""
    for name in names:
        _require(getattr(config, name) >= bound, config, name, f">= {bound}")


def require_share(config: object, *names: str) -> None:
    """Reject fields outside [0, 1)."""
    for name in names:
        _require(0 <= getattr(config, name) < 1, config, name, ">= 0 and < 1")


def _require(kept: bool, config: object, name: str, bounds: str) -> None:
    if not kept:
        raise ValueError(f"{name} must be {bounds}, got {getattr(config, name)!r}")
