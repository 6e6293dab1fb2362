"""Readers of play logs, one module for each source, and `read_plays`, which reads them all.

A new reader is a module with a `Reader`, and its line in `_REGISTERED`. One contract test runs
over all readers.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from segue.offline.datasets.play_log import PlayLog, PlayLogError
from segue.offline.datasets.readers import hetrec, last_fm, playlists, tabular
from segue.offline.datasets.readers.columns import plays_of, songs_of
from segue.offline.datasets.readers.listenbrainz import LISTENBRAINZ
from segue.offline.datasets.readers.million_song import MSD_TRIPLETS
from segue.offline.datasets.readers.reader import Head, Reader
from segue.offline.datasets.readers.spotify import SPOTIFY
from segue.offline.datasets.readers.text import read_head
from segue.offline.datasets.readers.thirty_music import THIRTY_MUSIC
from segue.offline.datasets.readers.validation import Validation, brief

__all__ = ["READERS", "PlayLogError", "Reader", "formats_table", "read_plays"]

_REGISTERED = (
    # In the order of detection: the least ambiguous first.
    tabular.PARQUET,
    SPOTIFY,
    LISTENBRAINZ,
    THIRTY_MUSIC,
    last_fm.LASTFM_1K_READER,
    last_fm.LASTFM_CSV_READER,
    tabular.CSV,
    playlists.YES,
    MSD_TRIPLETS,
    hetrec.HETREC2011,
    playlists.SESSIONS,
    playlists.LASTFM_SEQ,
)
READERS: Mapping[str, Reader] = {reader.name: reader for reader in _REGISTERED}


def read_plays(
    path: Path,
    format: str | None = None,
    *,
    strict: bool = False,
    columns: Mapping[str, str] | None = None,
) -> PlayLog:
    """Read a play log of any format in READERS; text formats may be compressed with gzip.

    format: a name in READERS; None detects it from the file's name and first lines.
    strict: raise at the first bad row. Else bad rows are skipped, counted in `skipped_rows`,
    and the first five described in `problems`, with physical line numbers, as
    "file:line: field: reason (value)". Blank lines are no rows.
    columns: for csv and parquet, the file's name for each column with another name.

    Raises PlayLogError where the file is absent, empty, of an unknown or other format, or
    without a single good row.
    """
    if not path.exists():
        raise PlayLogError(f"{path}: no such file or directory")
    reader = _choose(path, format, renamed=bool(columns))
    if path.is_dir() and not reader.directories:
        raise PlayLogError(f"{path}: is a directory; give one file of the format {reader.name}")
    validation = Validation(strict=strict)
    read = partial(reader.read, columns=columns) if columns else reader.read
    rows = read(path, validation)
    if rows.is_empty():
        raise _no_plays(path, reader, validation)
    return PlayLog(
        plays_of(rows),
        songs_of(rows),
        format=reader.name,
        timed=reader.timed,
        ordered=reader.ordered,
        skipped_rows=validation.skipped_rows,
        problems=tuple(validation.problems),
        notes=tuple(validation.notes),
    )


def formats_table() -> str:
    r"""Return a Markdown table of all formats, for the documents; tabs are shown as \t."""
    rows = [("format", "files", "what it is", "first line"), ("---",) * 4]
    for reader in READERS.values():
        files = ", ".join(f".{extension}" for extension in reader.extensions)
        example = reader.example.replace("\t", "\\t")
        rows.append((f"`{reader.name}`", files, reader.summary, f"`{example}`"))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _choose(path: Path, name: str | None, *, renamed: bool) -> Reader:
    reader = _detect(path, renamed=renamed) if name is None else READERS.get(name)
    if reader is None:
        raise PlayLogError(f"no format is called {name!r}: it is one of {', '.join(READERS)}")
    if renamed and not reader.columns:
        raise PlayLogError(f"columns can be renamed in csv and parquet only, not in {reader.name}")
    return reader


def _detect(path: Path, *, renamed: bool) -> Reader:
    """Detect the format of an existing path. renamed: its columns have names of their own."""
    head = Head(path, read_head(path) if path.is_file() else [])
    if path.is_file() and not head.lines:
        raise PlayLogError(f"{path}: is empty")
    for reader in READERS.values():
        if reader.detects(head):
            return tabular.CSV if renamed and not reader.columns else reader
    if renamed:
        return tabular.CSV
    raise PlayLogError(
        f"cannot detect the format of {path}: {_evidence(head)}; name the format, one of "
        f"{', '.join(READERS)}"
    )


def _evidence(head: Head) -> str:
    if head.path.is_dir():
        return "the directory holds no Streaming_History_Audio_*.json and no *.jsonl"
    counts = ", ".join(
        f"{len(head.fields(separator))} between {name}"
        for name, separator in (("tabs", "\t"), ("commas", ","), ("spaces", " "))
    )
    return f"its first line is {brief(head.first)} (fields: {counts})"


def _no_plays(path: Path, reader: Reader, validation: Validation) -> PlayLogError:
    if not validation.problems:
        return PlayLogError(f"{path}: holds no plays")
    return PlayLogError(
        f"{path}: not one of its {validation.skipped_rows} rows can be read as {reader.name}, "
        f"which has lines like {reader.example!r}; the first is {validation.problems[0]}"
    )
