"""What a benchmark ran on, so that its figures can be read elsewhere."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """Name the processor, its cores, and the mean length of their queue in the last minute."""
    return {"cpu": _cpu(), "cores": os.cpu_count(), "load_1_min": os.getloadavg()[0]}


def versions(*packages: str) -> dict[str, str]:
    """Give Python's version and those of `packages`."""
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def _cpu() -> str:
    """Name the processor; Linux tells its model, other systems their own way."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
