"""The bundles below a bundle root, and which of them is active."""

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
    ActiveModel,
    ModelVersion,
    RegistryError,
    bundle_directory,
)

MAX_DEPTH = 3  # directories between the root and a bundle's manifest

STATES = ACTIVE, PREVIOUS, INACTIVE, REFUSED = "active", "previous", "inactive", "refused"


@dataclass(frozen=True)
class BundleRow:
    """One bundle.

    state: one of STATES. location: relative to the root. hit_rate_at_20: on the validation
    split of its training; None without one. problem: why a refresh refused it.
    """

    state: str
    version: str
    location: str
    plays: int | None
    hit_rate_at_20: float | None
    problem: str = ""

    def row(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


def require_root(settings: Settings) -> Path:
    """Return the bundle root; RegistryError where none is set."""
    if settings.bundle_root is None:
        raise RegistryError(
            "no bundle root is set: give --bundle-root or SEGUE_BUNDLE_ROOT, as workers have it"
        )
    return settings.bundle_root


def list_bundles(root: Path, active: ActiveModel | None) -> list[BundleRow]:
    """Return every bundle below the root, the active one first."""
    previous = [] if active is None else [each.version for each in active.previous]
    rows = []
    for location, manifest in _manifests(root):
        refused = _reason(root / location)
        state = REFUSED if refused else INACTIVE
        if manifest.version in previous:
            state = PREVIOUS
        if active is not None and (manifest.version, location) == (
            active.version,
            active.location,
        ):
            state = ACTIVE
        hits = manifest.metrics.get("hit_rate_at_20")
        plays = manifest.training.get("plays")
        rows.append(BundleRow(state, manifest.version, location, plays, hits, refused))
    return sorted(rows, key=lambda row: (STATES.index(row.state), row.version, row.location))


def find_bundle(settings: Settings, root: Path, name: str) -> ModelVersion:
    """Find a bundle by its version or its directory, and check that it can be loaded here.

    Raises RegistryError where there is none, BundleError where it cannot be loaded.
    """
    if (Path(name) / MANIFEST).is_file():
        location = _location(root, Path(name))
    else:
        found = [where for where, manifest in _manifests(root) if manifest.version == name]
        if not found:
            raise RegistryError(
                f"{name!r} is neither a bundle's directory nor a version below {root}: "
                "see `segue models list`"
            )
        location = found[0]
    return check_loadable(
        settings, root, ModelVersion(read_manifest(root / location).version, location)
    )


def check_loadable(settings: Settings, root: Path, served: ModelVersion) -> ModelVersion:
    """Check that a bundle can be activated: complete, of a usable kind, and able to recommend.

    Song embeddings serve no lists; `segue refresh` follows and updates them.
    """
    kind = served.version.rpartition("-")[0]
    directory = bundle_directory(root, served.location)
    if kind in SERVING_KINDS:
        load_bundle(directory, recommender_config(settings), served.version)
    elif kind == VECTORS:
        read_bundle(directory, kind)
    else:
        usable = ", ".join((*SERVING_KINDS, VECTORS))
        raise RegistryError(f"{kind} bundles cannot be activated: give one of {usable}")
    return served


def _location(root: Path, directory: Path) -> str:
    found = bundle_directory(root, str(directory.resolve()))
    return found.relative_to(root.resolve()).as_posix()


def _manifests(root: Path) -> Iterator[tuple[str, Manifest]]:
    """Yield each bundle's location and manifest; what cannot be read is skipped."""
    for depth in range(1, MAX_DEPTH + 1):
        for path in sorted(root.glob("/".join(["[!.]*"] * depth + [MANIFEST]))):
            try:
                manifest = read_manifest(path.parent)
            except (SegueError, OSError):
                continue
            yield path.parent.relative_to(root).as_posix(), manifest


def _reason(directory: Path) -> str:
    """Return why a refresh refused the bundle; "" where none did."""
    try:
        found = msgspec.json.decode((directory / REASON).read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return ""
    return str(found.get("reason", "refused"))
