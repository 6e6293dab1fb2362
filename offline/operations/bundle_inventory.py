"""The bundles below a bundle root: which there are, which serves, and which may."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from segue.models.bundles.bundle import MANIFEST, Manifest, read_bundle, read_manifest
from segue.models.errors import SegueError
from segue.stream.config.settings import Settings
from segue.stream.refresh.refresh import REASON
from segue.stream.serving.factory import load_bundle, recommender_config
from segue.stream.serving.model_registry import (
    SERVING_KINDS,
    VECTORS,
    Announcement,
    AnnouncementError,
    Served,
    bundle_directory,
)

DEEPEST = 3  # directories between the root and a bundle's manifest


SERVES, BEFORE, KEPT, REFUSED = "serves", "before", "kept", "refused"


@dataclass(frozen=True)
class BundleRow:
    """One bundle. location: from the root. state: serves, before, kept or refused, and why.

    hit_rate_at_20: on the plays held back when it was made; None where none were.
    """

    state: str
    version: str
    location: str
    plays: int | None
    hit_rate_at_20: float | None
    problem: str = ""

    def row(self) -> dict[str, Any]:
        """Give it as one JSON object."""
        return asdict(self)


def require_root(settings: Settings) -> Path:
    """Give the bundle root; AnnouncementError where the settings name none."""
    if settings.bundle_root is None:
        raise AnnouncementError(
            "no bundle root is set: give --bundle-root or SEGUE_BUNDLE_ROOT, as workers have it"
        )
    return settings.bundle_root


def list_bundles(root: Path, told: Announcement | None) -> list[BundleRow]:
    """Tell of every bundle below the root, that which serves first. told: what serves."""
    before = [] if told is None else [each.version for each in told.previous]
    rows = []
    for location, manifest in _manifests(root):
        refused = _reason(root / location)
        state = REFUSED if refused else KEPT
        if manifest.version in before:
            state = BEFORE
        if told is not None and (manifest.version, location) == (told.version, told.location):
            state = SERVES
        hits = manifest.metrics.get("hit_rate_at_20")
        plays = manifest.training.get("plays")
        rows.append(BundleRow(state, manifest.version, location, plays, hits, refused))
    order = (SERVES, BEFORE, KEPT, REFUSED)
    return sorted(rows, key=lambda row: (order.index(row.state), row.version, row.location))


def find_bundle(settings: Settings, root: Path, name: str) -> Served:
    """Find a bundle by its version or its directory, and see that it serves lists here.

    Raises AnnouncementError where there is none, BundleError where it cannot be loaded.
    """
    if (Path(name) / MANIFEST).is_file():
        location = _location(root, Path(name))
    else:
        found = [where for where, manifest in _manifests(root) if manifest.version == name]
        if not found:
            raise AnnouncementError(
                f"{name!r} is neither a bundle's directory nor a version below {root}: "
                "see `segue models list`"
            )
        location = found[0]
    return check_loadable(settings, root, Served(read_manifest(root / location).version, location))


def check_loadable(settings: Settings, root: Path, served: Served) -> Served:
    """See that a bundle can be announced: it is whole, of a kind that is used, and answers.

    Song vectors make no lists; who follows them is `segue refresh`, which renews them too.
    """
    kind = served.version.rpartition("-")[0]
    directory = bundle_directory(root, served.location)
    if kind in SERVING_KINDS:
        load_bundle(directory, recommender_config(settings), served.version)
    elif kind == VECTORS:
        read_bundle(directory, kind)
    else:
        able = ", ".join((*SERVING_KINDS, VECTORS))
        raise AnnouncementError(f"nobody follows {kind} bundles: name one of {able}")
    return served


def _location(root: Path, directory: Path) -> str:
    found = bundle_directory(root, str(directory.resolve()))
    return found.relative_to(root.resolve()).as_posix()


def _manifests(root: Path) -> Iterator[tuple[str, Manifest]]:
    """Give each bundle's place and manifest; what cannot be read is no bundle."""
    for depth in range(1, DEEPEST + 1):
        for path in sorted(root.glob("/".join(["[!.]*"] * depth + [MANIFEST]))):
            try:
                manifest = read_manifest(path.parent)
            except (SegueError, OSError):
                continue
            yield path.parent.relative_to(root).as_posix(), manifest


def _reason(directory: Path) -> str:
    """Say why a refresh refused the bundle; nothing where none did."""
    try:
        told = msgspec.json.decode((directory / REASON).read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return ""
    return str(told.get("reason", "refused"))
