"""The identity of a kept replay, so that it resumes with the same input only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from segue.offline.replay.sources import Bound, ReplayError
from segue.offline.replay.variants import SETTABLE, Variant
from segue.stream.config.settings import Settings

FILE = "replay.json"
BLOCK = 1 << 20


def describe_replay(
    source: dict[str, Any], variants: Sequence[Variant], begin: Bound, end: Bound
) -> dict[str, Any]:
    """Return what a replay depends on. source: what identifies its plays."""
    return {
        **source,
        "from": [begin.time_ms, [list(one) for one in begin.offsets]],
        "to": [end.time_ms, [list(one) for one in end.offsets]],
        "variants": {
            one.name: {"bundle": _version(one.settings.bundle), **_of_lists(one.settings)}
            for one in variants
        },
    }


def claim(directory: Path, facts: dict[str, Any]) -> bool:
    """Accept a directory for a replay; tell whether it was begun there before.

    Raises ReplayError where another replay, or something else, is in it.
    """
    file = directory / FILE
    if file.exists():
        kept = json.loads(file.read_text(encoding="utf-8"))
        if kept != facts:
            names = sorted(n for n in kept.keys() | facts.keys() if kept.get(n) != facts.get(n))
            raise ReplayError(
                f"{directory} holds a replay of other {', '.join(names)}: name another --state, "
                "or give what it was begun with"
            )
        return True
    if directory.exists() and any(directory.iterdir()):
        raise ReplayError(f"{directory} holds something else: name another --state")
    directory.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return False


def digest(path: Path) -> str:
    """Return the sha256 of a file, or of all files under a directory."""
    found = hashlib.sha256()
    for file in _files(path):
        with file.open("rb") as content:
            while block := content.read(BLOCK):
                found.update(block)
    return found.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    yield from sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]


def _version(bundle: Path | None) -> str | None:
    if bundle is None:
        return None
    from segue.models.bundles.bundle import read_bundle

    return read_bundle(bundle, kind=None).manifest.version


def _of_lists(settings: Settings) -> dict[str, Any]:
    values = {name: getattr(settings, name) for name in SETTABLE}
    # A file is what it holds.
    return {
        name: digest(value) if isinstance(value, Path) else value for name, value in values.items()
    }
