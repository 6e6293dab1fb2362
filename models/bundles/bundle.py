"""A bundle: a trained model as an immutable directory that proves its own content.

    weights.safetensors  the tensors
    vocabulary.json      song ids in the order of their item numbers
    songs.json           song id -> [title, artist, album, genres, released_at_ms, explicit],
                         cut off behind the last that is known; only where something is
    index.faiss          the codes by which songs are found; perhaps, else they are made anew
    manifest.json        what the model is, and the size and sha256 of every other file

Nothing in it is ever unpickled, and nothing in it depends on when it was written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import safetensors
import safetensors.torch
from torch import Tensor

from segue.models.bundles.atomic_directory import write_directory
from segue.models.data.catalogue import SongDetails, known_details
from segue.models.data.vocabulary import Vocabulary
from segue.models.errors import SegueError

FORMAT_VERSION = 1
MAX_MANIFEST_BYTES = 1 << 24
MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
VOCABULARY = "vocabulary.json"
TITLES = "songs.json"
INDEX = "index.faiss"
NEEDED, POSSIBLE = {WEIGHTS, VOCABULARY}, {WEIGHTS, VOCABULARY, TITLES, INDEX}

T = TypeVar("T")

Titles = dict[str, tuple[str, str]]
"""Song id -> (title, artist)."""


class BundleError(SegueError):
    """A bundle that cannot be trusted, or a directory that must not be replaced by one."""


class FileEntry(msgspec.Struct, frozen=True):
    """What a file of the bundle must be."""

    sha256: str
    bytes: int


class Manifest(msgspec.Struct, frozen=True):
    """What a bundle says of itself.

    version: the kind and a hash over the config and every other file, so that equal versions
        are equal models. config: the fields of the model's config. training: what the model
        was trained on. metrics: how it did on plays that it was not trained on.
    """

    format_version: int
    kind: str
    version: str
    files: dict[str, FileEntry]
    config: dict[str, Any]
    training: dict[str, Any]
    metrics: dict[str, float | None]


@dataclass(frozen=True)
class Bundle:
    """A bundle as read and verified; weights["popularity"]: play counts, float32 [V + 1].

    titles, details: of the songs of which something is known. index: the file of codes, as
    `ItemIndex.content` returns it, of the vectors that songs are retrieved by.
    """

    manifest: Manifest
    weights: dict[str, Tensor]
    vocabulary: Vocabulary
    titles: Titles
    details: Mapping[str, SongDetails] = field(default_factory=dict)
    index: Path | None = None


@dataclass(frozen=True)
class TrainingData:
    """What a model was trained on: every trainer's part of `Manifest.training`.

    from_ms, to_ms: of the first and the last play, milliseconds since the epoch; None without
    plays. format: of the play log. timed: whether the log has the time of each play.
    """

    plays: int
    sessions: int
    songs: int
    from_ms: int | None
    to_ms: int | None
    format: str
    timed: bool
    seed: int

    def manifest(self, **more: Any) -> dict[str, Any]:
        """Return the manifest's `training`, with what only this trainer knows at its end."""
        return {**asdict(self), **more}


def extended_training(
    training: Mapping[str, Any], *, plays: int, songs: int, to_ms: int | None, **more: Any
) -> dict[str, Any]:
    """Return the `training` of a bundle that was trained on `plays` more, up to `to_ms`.

    training: of the bundle before. songs: in the vocabulary now.
    """
    total = int(training.get("plays") or 0) + plays
    return {**training, "plays": total, "songs": songs, "to_ms": to_ms, **more}


def write_bundle(
    directory: Path,
    *,
    kind: str,
    config: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    vocabulary: Vocabulary,
    titles: Mapping[str, tuple[str, str]],
    training: Mapping[str, Any],
    metrics: Mapping[str, float | None],
    overwrite: bool = False,
    details: Mapping[str, SongDetails] | None = None,
    index: bytes | None = None,
) -> Manifest:
    """Write a bundle: readers see the whole of it at `directory`, or nothing.

    details: more than titles tell, of the songs of which it is known. index: see `Bundle`.

    An existing directory is refused with BundleError, unless it is a bundle and `overwrite`
    is given. Two bundles of equal input are equal byte by byte.
    """
    check_writable(directory, overwrite=overwrite)
    contents = {
        WEIGHTS: safetensors.torch.save({n: t.contiguous() for n, t in sorted(weights.items())}),
        VOCABULARY: msgspec.json.encode(list(vocabulary.song_ids)),
    }
    known = known_details(vocabulary.song_ids, titles, details or {})
    if known:
        contents[TITLES] = msgspec.json.encode(known)
    if index is not None:
        contents[INDEX] = index
    files = {name: _entry(content) for name, content in sorted(contents.items())}
    manifest = Manifest(
        FORMAT_VERSION,
        kind,
        _version(kind, files, config),
        files,
        dict(config),
        dict(training),
        dict(metrics),
    )
    contents[MANIFEST] = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    write_directory(directory, contents)
    return manifest


def check_writable(directory: Path, *, overwrite: bool) -> None:
    """Refuse, with BundleError, what `write_bundle` would refuse: to be asked before training."""
    if not directory.exists() and not directory.is_symlink():
        return
    if not _is_bundle(directory):
        msg = f"{directory} exists and is no bundle, so it is left alone: name another directory"
        raise BundleError(msg)
    if not overwrite:
        msg = f"{directory} holds a bundle already: name another directory, or give --overwrite"
        raise BundleError(msg)


def read_bundle(directory: Path, kind: str | None = "gru") -> Bundle:
    """Read a bundle and verify all of it; BundleError names what is wrong.

    kind: the only one that will do; None takes any.
    """
    manifest = read_manifest(directory)
    if kind is not None and manifest.kind != kind:
        msg = f"{directory / MANIFEST}: the bundle holds a {manifest.kind!r} model, not {kind!r}"
        raise BundleError(f"{msg}: name a bundle made by `segue train {kind}`")
    contents = {
        name: _read_verified(directory / name, entry) for name, entry in manifest.files.items()
    }
    try:
        weights = safetensors.torch.load(contents[WEIGHTS])
    except safetensors.SafetensorError as error:
        raise _damaged(directory / WEIGHTS, str(error)) from error
    vocabulary = _read_vocabulary(directory / VOCABULARY, contents[VOCABULARY])
    details = _decode(directory / TITLES, contents.get(TITLES, b"{}"), dict[str, SongDetails])
    titles = {song: (each.title, each.artist) for song, each in details.items() if each.title}
    _check_songs(directory, weights, vocabulary)
    index = directory / INDEX if INDEX in contents else None
    return Bundle(manifest, weights, vocabulary, titles, details, index)


@contextmanager
def fitting_parts(bundle: Bundle) -> Iterator[None]:
    """Build a model of a bundle's parts in here; BundleError where they do not fit together."""
    try:
        yield
    except (msgspec.ValidationError, RuntimeError, KeyError) as error:
        msg = f"{WEIGHTS} of {bundle.manifest.version} does not fit its config: {error}"
        raise BundleError(f"{msg}: train the bundle again") from error


def network_weights(bundle: Bundle) -> dict[str, Tensor]:
    """Return the tensors of a bundle whose model is one network."""
    return {name: tensor for name, tensor in bundle.weights.items() if name != "popularity"}


def _entry(content: bytes) -> FileEntry:
    return FileEntry(hashlib.sha256(content).hexdigest(), len(content))


def _version(kind: str, files: Mapping[str, FileEntry], config: Mapping[str, Any]) -> str:
    content = msgspec.json.encode([files, config], order="sorted")
    return f"{kind}-{hashlib.sha256(content).hexdigest()[:12]}"


def read_manifest(directory: Path) -> Manifest:
    """Read what a bundle says of itself, verifying nothing else; BundleError where it cannot be."""
    path = directory / MANIFEST
    try:
        if (size := path.stat().st_size) > MAX_MANIFEST_BYTES:
            raise _damaged(path, f"it has {size} bytes, and no manifest has {MAX_MANIFEST_BYTES}")
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        msg = f"{directory} is no bundle: it has no {MANIFEST}. Make one with `segue train gru`"
        raise BundleError(msg) from error
    # The version comes first: a later one may have other fields.
    found = _decode(path, raw, dict[str, Any]).get("format_version")
    if found != FORMAT_VERSION:
        msg = f"{path}: format_version is {found!r}, but this Segue reads {FORMAT_VERSION}"
        raise BundleError(f"{msg}: train the bundle again, or use the Segue that made it")
    manifest = _decode(path, raw, Manifest)
    names = set(manifest.files)
    if not NEEDED <= names <= POSSIBLE:
        expected = f"{WEIGHTS}, {VOCABULARY} and perhaps {TITLES} and {INDEX}"
        raise _damaged(path, f"it lists {', '.join(sorted(names)) or 'no file'}, not {expected}")
    version = _version(manifest.kind, manifest.files, manifest.config)
    if manifest.version != version:
        raise _damaged(path, f"version is {manifest.version!r}, but its content makes {version!r}")
    return manifest


def _read_verified(path: Path, expected: FileEntry) -> bytes:
    try:
        # Its size is asked first: a file of many gigabytes is not read to be refused.
        if (size := path.stat().st_size) != expected.bytes:
            raise _damaged(path, f"it has {size} bytes, not {expected.bytes}")
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise _damaged(path, "the file is missing") from error
    found = _entry(content)
    if found.sha256 != expected.sha256:
        raise _damaged(path, f"its sha256 is {found.sha256}, not {expected.sha256}")
    return content


def _read_vocabulary(path: Path, content: bytes) -> Vocabulary:
    try:
        return Vocabulary(_decode(path, content, list[str]))
    except ValueError as error:
        raise _damaged(path, str(error)) from error


def _check_songs(directory: Path, weights: Mapping[str, Tensor], vocabulary: Vocabulary) -> None:
    popularity = weights.get("popularity")
    if popularity is None:
        raise _damaged(directory / WEIGHTS, "it has no tensor 'popularity'")
    if popularity.shape != (len(vocabulary) + 1,):
        found = f"it has {len(vocabulary)} songs, but {WEIGHTS} has {len(popularity) - 1}"
        raise _damaged(directory / VOCABULARY, found)
    if wild := [name for name, tensor in weights.items() if not tensor.isfinite().all()]:
        raise _damaged(directory / WEIGHTS, f"{', '.join(wild)}: not all are finite numbers")


def _decode(path: Path, raw: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, found: str) -> BundleError:
    return BundleError(f"{path}: {found}: copy the bundle again, or train a new one")


def _is_bundle(directory: Path) -> bool:
    """Return whether everything in `directory` was written by `write_bundle`."""
    try:
        manifest = _decode(directory / MANIFEST, (directory / MANIFEST).read_bytes(), Manifest)
    except (OSError, BundleError):
        return False
    return {path.name for path in directory.iterdir()} <= {MANIFEST, *manifest.files}
