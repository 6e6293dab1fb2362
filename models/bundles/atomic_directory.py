"""A directory of which readers see the whole, or nothing: staged, then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path


def write_directory(directory: Path, contents: Mapping[str, bytes]) -> None:
    """Write files by their names into a new directory, or in the place of the one there is."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, as a rename is atomic within one file system only.
    staging = tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent)
    try:
        written = Path(staging) / "written"
        written.mkdir()
        for name, content in contents.items():
            with (written / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        _sync(written)
        _put(written, directory, Path(staging) / "replaced")
    finally:
        shutil.rmtree(staging)


def _put(written: Path, directory: Path, replaced: Path) -> None:
    if not directory.exists():
        written.rename(directory)
    else:
        directory.rename(replaced)
        try:
            written.rename(directory)
        except OSError:
            replaced.rename(directory)
            raise
    _sync(directory.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
