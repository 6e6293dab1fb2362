"""What a reader of one log format is, and what it detects its format from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from segue.offline.datasets.readers.text import split_row


@dataclass(frozen=True)
class Head:
    """The beginning of a file: its path, and its first lines that are not blank."""

    path: Path
    lines: list[str]

    @property
    def first(self) -> str:
        """The first line; empty for a directory."""
        return self.lines[0] if self.lines else ""

    def fields(self, separator: str, *, quoted: bool = False) -> list[str]:
        """Split the first line. quoted: fields may stand in double quotes."""
        return split_row(self.first, separator) if quoted else self.first.split(separator)


@dataclass(frozen=True)
class Reader:
    """A log format: how to detect it, read it and document it.

    detects: whether a file or directory that begins so is of this format; False for a format
        that must be named.
    read: (path, validation) -> the good rows of a file, columns.ROW_SCHEMA. Where `columns` is
        set it also accepts a keyword `columns`, the file's names for ours.
    extensions: usual endings of file names, without ".gz".
    example: the first line of such a file.
    directories: a directory is accepted as well as a file.
    timed, ordered: as in PlayLog.
    """

    name: str
    summary: str
    example: str
    read: Callable[..., pl.DataFrame]
    detects: Callable[[Head], bool]
    extensions: tuple[str, ...]
    directories: bool = False
    columns: bool = False
    timed: bool = True
    ordered: bool = True
