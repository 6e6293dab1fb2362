"""Which format is it? Told from a file's name and first lines, the surest signs first."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from segue.offline.datasets.play_log import PlayLogError
from segue.offline.datasets.readers.hetrec import COLUMNS as HETREC
from segue.offline.datasets.readers.last_fm import HEADED_EXPORT, PLAIN_EXPORT
from segue.offline.datasets.readers.listenbrainz import listen_files
from segue.offline.datasets.readers.playlists import SONG_HASH
from segue.offline.datasets.readers.spotify import stream_files
from segue.offline.datasets.readers.tabular import REQUIRED as NAMED
from segue.offline.datasets.readers.tabular import separator_of
from segue.offline.datasets.readers.text import read_bytes, read_head, split_row
from segue.offline.datasets.readers.thirty_music import REQUIRED as SESSION_REC
from segue.offline.datasets.readers.validation import brief

ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
EXPORT_DATE = re.compile(r"\d{1,2} [A-Z][a-z]{2} \d{4},? \d\d:\d\d")
PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True)
class Head:
    """What is looked at: the path, and a file's first lines without the blank ones."""

    path: Path
    lines: list[str]

    @property
    def first(self) -> str:
        """The first line, empty in a directory."""
        return self.lines[0] if self.lines else ""

    def fields(self, separator: str) -> list[str]:
        """Give the first line's fields."""
        return self.first.split(separator)


def _is_30music(head: Head) -> bool:
    return set(SESSION_REC) <= set(head.fields("\t"))


def _is_lastfm_1k(head: Head) -> bool:
    fields = head.fields("\t")
    return len(fields) == 6 and bool(ISO_TIME.fullmatch(fields[1]))


def _is_lastfm_csv(head: Head) -> bool:
    fields = split_row(head.first, ",")
    plain = len(fields) == len(PLAIN_EXPORT) and bool(EXPORT_DATE.fullmatch(fields[-1]))
    return plain or set(fields) >= HEADED_EXPORT


def _is_listenbrainz(head: Head) -> bool:
    if head.path.is_dir():
        return bool(listen_files(head.path))
    return head.first.startswith("{") and '"listened_at"' in head.first


def _is_spotify(head: Head) -> bool:
    if head.path.is_dir():
        return bool(stream_files(head.path))
    opening = "".join(head.lines[:40])
    return head.first.lstrip().startswith("[") and '"ms_played"' in opening


def _is_csv(head: Head) -> bool:
    return set(NAMED) <= set(split_row(head.first, separator_of(head.first)))


def _is_yes(head: Head) -> bool:
    # Its lines are lines of numbers like those of many others: the neighbour decides.
    return head.path.with_name(SONG_HASH).is_file() and head.path.name != SONG_HASH


def _is_msd_triplets(head: Head) -> bool:
    fields = head.fields("\t")
    return len(fields) == 3 and fields[2].isdecimal()


def _is_hetrec2011(head: Head) -> bool:
    return tuple(head.fields("\t")) == HETREC


def _is_sessions(head: Head) -> bool:
    # Lines of ids may also be a user's whole history behind the user's id: the name decides.
    plain = not any(sign in line for line in head.lines for sign in "\t,;{[")
    return "session" in head.path.name and " " in head.first and plain


SIGNS: Mapping[str, Callable[[Head], bool]] = {
    "spotify": _is_spotify,
    "listenbrainz": _is_listenbrainz,
    "30music": _is_30music,
    "lastfm-1k": _is_lastfm_1k,
    "lastfm-csv": _is_lastfm_csv,
    "csv": _is_csv,
    "yes": _is_yes,
    "msd-triplets": _is_msd_triplets,
    "hetrec2011": _is_hetrec2011,
    "sessions": _is_sessions,
}


def guess(path: Path, *, renamed: bool = False) -> str:
    """Give the name of the format of an existing file or directory, or raise PlayLogError.

    renamed: the caller knows that the columns have names of their own.
    """
    if path.is_file() and read_bytes(path, len(PARQUET_MAGIC)) == PARQUET_MAGIC:
        return "parquet"
    if renamed:
        return "csv"
    head = Head(path, read_head(path) if path.is_file() else [])
    if path.is_file() and not head.lines:
        raise PlayLogError(f"{path}: is empty")
    for name, matches in SIGNS.items():
        if matches(head):
            return name
    raise PlayLogError(
        f"cannot tell the format of {path}: {_evidence(head)}; name the format, one of "
        f"{', '.join([*SIGNS, 'lastfm-seq', 'parquet'])}"
    )


def _evidence(head: Head) -> str:
    if head.path.is_dir():
        return "the directory holds no Streaming_History_Audio_*.json and no *.jsonl"
    counts = ", ".join(
        f"{len(head.fields(separator))} between {name}"
        for name, separator in (("tabs", "\t"), ("commas", ","), ("spaces", " "))
    )
    return f"its first line is {brief(head.first)} (fields: {counts})"
