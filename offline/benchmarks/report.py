"""One report of all that was measured: parts are added to it, or take the place of older ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from segue.offline.benchmarks.environment import machine, versions
from segue.offline.benchmarks.suite import PARTS
from segue.offline.benchmarks.worker_process import BenchError
from segue.offline.reporting.document import Block, Heading, Paragraph, write_markdown
from segue.offline.reporting.json_file import write_json

FILE = "report.json"
FORMAT = 2
"""What parts hold; a report of another format is not added to."""
PACKAGES = ("segue", "torch", "numpy", "numba", "faiss-cpu", "lmdb", "faust-streaming", "aiokafka")
BY_SONGS = ("throughput", "stages")
"""Parts whose figures are by catalogue size: one that is measured again leaves the others."""


class BenchReport:
    """The parts that were measured by now, each with its day, its machine and its versions.

    parts: by name, {"command", "day", "machine", "versions", "quick", "figures"}.
    """

    def __init__(self, directory: Path | None) -> None:
        """Read what an earlier run has left in a directory; None keeps nothing."""
        self.directory = directory
        self.parts: dict[str, dict[str, Any]] = {}
        if directory is not None and (directory / FILE).exists():
            self.parts = _read(directory / FILE)

    def figures(self) -> Mapping[str, Any]:
        """Return everything, as it is written."""
        return {
            "format": FORMAT,
            "parts": {name: self.parts[name] for name in PARTS if name in self.parts},
        }

    def add(
        self, name: str, figures: Mapping[str, Any], day: date, command: str, *, quick: bool
    ) -> None:
        """Add a part that `command` has just measured, and write all anew."""
        before = self.parts.get(name, {})
        if name in BY_SONGS and before.get("quick") == quick:
            merged = {**before["figures"], **figures}
            figures = {songs: merged[songs] for songs in sorted(merged, key=int)}
        self.parts[name] = {
            "command": command,
            "day": day.isoformat(),
            "machine": machine(),
            "versions": versions(*PACKAGES),
            "quick": quick,
            "figures": figures,
        }
        self.write()

    def write(self) -> None:
        """Write report.md, its pictures and report.json."""
        if self.directory is not None:
            write_json(self.directory / FILE, self.figures())
            write_markdown(self.directory, list(self.blocks()))

    def blocks(self) -> Iterator[Block]:
        """Report all parts."""
        yield Heading("Benchmarks", 1)
        yield Paragraph(
            "Written by `segue bench`; `segue bench --help` tells of its parts. Figures of a "
            "machine that others use, too, are read best as ratios: each stands beside a "
            "reference that was measured in turn with it."
        )
        for name, part in PARTS.items():
            if name in self.parts:
                yield Heading(part.title)
                yield Paragraph(_place(self.parts[name]))
                yield from part.blocks(self.parts[name]["figures"])


def _place(part: Mapping[str, Any]) -> str:
    on, packages = part["machine"], part["versions"]
    return (
        f"`{part['command']}`, {part['day']}, "
        f"{on['cores']} cores of {on['cpu']}, load {on['load_1_min']:.1f} at its end. "
        + ", ".join(f"{package} {number}" for package, number in packages.items())
        + "."
    )


def _read(file: Path) -> dict[str, dict[str, Any]]:
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
        found, parts = report["format"], dict(report["parts"])
    except (ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{file} is no report: remove it, or give another --out") from error
    if found != FORMAT:
        raise BenchError(
            f"{file} has format {found!r}, this version writes {FORMAT}: give another --out"
        )
    return parts
