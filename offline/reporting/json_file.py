"""The JSON file that a command writes its figures to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_json(path: Path | None, figures: Mapping[str, Any]) -> None:
    """Write `figures` to `path` as indented JSON; nothing without a path."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2, allow_nan=False) + "\n", encoding="utf-8")
