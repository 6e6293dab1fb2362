"""Readers of real play logs: a catalogue of formats, and one way to read them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from segue.offline.datasets.play_log import PlayLog, PlayLogError
from segue.offline.datasets.readers.columns import plays_of, songs_of
from segue.offline.datasets.readers.detect import guess
from segue.offline.datasets.readers.hetrec import read_hetrec2011
from segue.offline.datasets.readers.last_fm import read_lastfm_1k, read_lastfm_csv
from segue.offline.datasets.readers.listenbrainz import read_listenbrainz
from segue.offline.datasets.readers.million_song import read_msd_triplets
from segue.offline.datasets.readers.playlists import read_lastfm_seq, read_sessions, read_yes
from segue.offline.datasets.readers.spotify import read_spotify
from segue.offline.datasets.readers.tabular import read_csv, read_parquet
from segue.offline.datasets.readers.thirty_music import read_30music
from segue.offline.datasets.readers.validation import Sieve

__all__ = ["FORMATS", "Format", "PlayLogError", "describe_formats", "read_plays"]


@dataclass(frozen=True)
class Format:
    """How to read one kind of play log, and how to tell people of it.

    read: gives the good rows of a file, with the columns of `draft.DRAFT_SCHEMA`.
    directories: a directory is taken as well as a file. columns: they may be renamed.
    timed, ordered: as in PlayLog.
    """

    name: str
    description: str
    example: str
    read: Callable[..., pl.DataFrame]
    directories: bool = False
    columns: bool = False
    timed: bool = True
    ordered: bool = True


FORMATS: Mapping[str, Format] = {
    form.name: form
    for form in (
        Format(
            "lastfm-1k",
            "Last.fm-1K: user, time, artist id and name, track id and name; no header",
            "user_000001\t2009-05-04T23:08:57Z\tf1b1cf71\tDeep Dish\t\tFlashdance",
            read_lastfm_1k,
        ),
        Format(
            "30music",
            "30Music and others as session-rec writes them: a header, times in Unix seconds",
            "UserId\tSessionId\tItemId\tTime\tArtistId",
            read_30music,
        ),
        Format(
            "listenbrainz",
            "ListenBrainz export: JSON lines, or the directory that was unpacked",
            '{"listened_at": 1704067200, "track_metadata": {"artist_name": "Can", ...}}',
            read_listenbrainz,
            directories=True,
        ),
        Format(
            "spotify",
            "Spotify's extended streaming history: one JSON file, or a directory of them",
            '[{"ts": "2024-01-01T00:03:00Z", "ms_played": 180000, ...}]',
            read_spotify,
            directories=True,
        ),
        Format(
            "lastfm-csv",
            "Last.fm scrobbles of one account: artist, album, track, date; or a header with uts",
            "Can,Ege Bamyasi,Vitamin C,31 Jan 2020 23:59",
            read_lastfm_csv,
        ),
        Format(
            "msd-triplets",
            "Taste Profile of the Million Song Dataset: user, song, count; no order, no times",
            "b80344d063b5ccb3212f76538f3d9e43d87dca9e\tSOAKIMP12A8C130995\t1",
            read_msd_triplets,
            timed=False,
            ordered=False,
        ),
        Format(
            "hetrec2011",
            "user_artists.dat of HetRec 2011, names in artists.dat beside it: counts, no order",
            "userID\tartistID\tweight",
            read_hetrec2011,
            timed=False,
            ordered=False,
        ),
        Format(
            "lastfm-seq",
            "one listener a line: user id, then all items in order; the times are made up",
            "1 58991 42356 33620 33619",
            read_lastfm_seq,
            timed=False,
        ),
        Format(
            "sessions",
            "one session a line, song ids between spaces; the times are made up",
            "58991 42356 33620 33619",
            read_sessions,
            timed=False,
        ),
        Format(
            "yes",
            "playlists of yes.com, with song_hash.txt beside them; the times are made up",
            "0 1 2 3 4 5",
            read_yes,
            timed=False,
        ),
        Format(
            "csv",
            "a header with user_id, song_id, played_at; perhaps session_id, ms_played, skipped,"
            " title, artist, album",
            "user_id,song_id,played_at",
            read_csv,
            columns=True,
        ),
        Format(
            "parquet",
            "Parquet with the same columns as csv",
            "(binary)",
            read_parquet,
            columns=True,
        ),
    )
}


def read_plays(
    path: Path,
    format: str | None = None,
    *,
    strict: bool = False,
    columns: Mapping[str, str] | None = None,
) -> PlayLog:
    """Read a play log of any format in FORMATS; text formats may be packed with gzip.

    format: a name in FORMATS; None tells it from the file's name and first lines.
    strict: raise at the first bad row. Else bad rows are left out, counted in `skipped_rows`,
    and the first five described in `problems`, with physical line numbers, as
    "file:line: field: reason (value)". Blank lines are no rows.
    columns: for csv and parquet, the file's name for each column it calls differently.

    Raises PlayLogError where the file is absent, empty, of an unknown or other format, or
    without a single good row.
    """
    if not path.exists():
        raise PlayLogError(f"{path}: no such file or directory")
    form = _format(path, format, renamed=bool(columns))
    if path.is_dir() and not form.directories:
        raise PlayLogError(f"{path}: is a directory; give one file of the format {form.name}")
    sieve = Sieve(strict=strict)
    read = partial(form.read, columns=columns) if columns else form.read
    rows = read(path, sieve)
    if rows.is_empty():
        raise _no_plays(path, form, sieve)
    return PlayLog(
        plays_of(rows),
        songs_of(rows),
        format=form.name,
        timed=form.timed,
        ordered=form.ordered,
        skipped_rows=sieve.skipped_rows,
        problems=tuple(sieve.problems),
        notes=tuple(sieve.notes),
    )


def describe_formats() -> str:
    r"""List every format with an example line, tabs shown as \t, for help texts."""
    width = max(map(len, FORMATS))
    return "\n".join(
        f"{form.name:{width}}  {form.description}\n{'':{width}}  e.g. "
        + form.example.replace("\t", "\\t")
        for form in FORMATS.values()
    )


def _format(path: Path, name: str | None, *, renamed: bool) -> Format:
    if name is None:
        name = guess(path, renamed=renamed)
    if name not in FORMATS:
        raise PlayLogError(f"no format is called {name!r}: it is one of {', '.join(FORMATS)}")
    form = FORMATS[name]
    if renamed and not form.columns:
        raise PlayLogError(f"columns can be renamed in csv and parquet only, not in {name}")
    return form


def _no_plays(path: Path, form: Format, sieve: Sieve) -> PlayLogError:
    if not sieve.problems:
        return PlayLogError(f"{path}: holds no plays")
    return PlayLogError(
        f"{path}: not one of its {sieve.skipped_rows} rows can be read as {form.name}, which "
        f"has lines like {form.example!r}; the first is {sieve.problems[0]}"
    )
