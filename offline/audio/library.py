"""A directory of audio files: which song each is, and the spectrograms of all of them."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from segue.models.audio.mel_spectrogram import Spectrogram
from segue.offline.audio.decode import SUFFIXES, AudioError
from segue.offline.audio.spectrogram_cache import SpectrogramCache, SpectrogramConfig

NAMES = "songs.csv"
AHEAD = 2  # files a worker that wait to be taken


@dataclass(frozen=True)
class AudioFile:
    """A file and the song it holds."""

    path: Path
    song_id: str


@dataclass(frozen=True)
class Failure:
    """A file that was skipped, and why."""

    path: Path
    reason: str


def find_files(directory: Path) -> list[AudioFile]:
    """Find the audio files below a directory, by song id.

    A song's id is its file's name without the suffix, unless the directory has a songs.csv with
    the columns file (from the directory) and song_id: then its files are taken, and no other.
    AudioError where there is none, or two files claim one song.
    """
    if not directory.is_dir():
        raise AudioError(f"{directory} is no directory: name one that holds audio files")
    named = directory / NAMES
    files = list(_listed(named) if named.is_file() else _by_name(directory))
    if not files:
        raise AudioError(f"{directory}: no audio file ({', '.join(SUFFIXES)}) lies in it")
    files.sort(key=lambda file: file.song_id)
    for one, other in pairwise(files):
        if one.song_id == other.song_id:
            raise AudioError(
                f"{one.path} and {other.path} are both song {one.song_id!r}: rename one, or "
                f"name both songs in {named}"
            )
    return files


def read_library(
    files: list[AudioFile],
    spectrogram_config: SpectrogramConfig,
    *,
    cache: Path | None = None,
    workers: int = 1,
    on_file: Callable[[int], None] = lambda done: None,
) -> Iterator[tuple[AudioFile, Spectrogram | Failure]]:
    """Return the spectrogram of each file, in order, or why there is none.

    Some files a worker are ahead of what is taken, so that memory does not grow with their
    number. on_file: called with how many are done.
    """
    kept = SpectrogramCache(cache)

    def read(file: AudioFile) -> Spectrogram | Failure:
        try:
            return kept.read(file.path, spectrogram_config)
        except AudioError as error:
            return Failure(file.path, str(error).removeprefix(f"{file.path}: "))

    # Threads are enough: decoding, Fourier transforms and products all let go of the lock.
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[tuple[AudioFile, Future[Spectrogram | Failure]]] = deque()
        ahead = iter(files)
        for done in range(1, len(files) + 1):
            for file in ahead:
                waiting.append((file, pool.submit(read, file)))
                if len(waiting) >= AHEAD * workers:
                    break
            first, future = waiting.popleft()
            yield first, future.result()
            on_file(done)


def _by_name(directory: Path) -> Iterator[AudioFile]:
    for path in sorted(directory.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            yield AudioFile(path, path.stem)


def _listed(named: Path) -> Iterator[AudioFile]:
    with named.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if not {"file", "song_id"} <= set(rows.fieldnames or ()):
            raise AudioError(f"{named}: its first line must name the columns file and song_id")
        for row in rows:
            if not row["file"] or not row["song_id"]:
                raise AudioError(f"{named}:{rows.line_num}: file and song_id must not be empty")
            yield AudioFile(named.parent / row["file"], row["song_id"])
