"""Bundles: what is written comes back, and what was tampered with does not."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from segue.models.bundles.bundle import (
    MAX_MANIFEST_BYTES,
    BundleError,
    FileEntry,
    _version,
    read_bundle,
    write_bundle,
)
from segue.models.data.vocabulary import Vocabulary
from segue.models.gru.network import gru_from_bundle
from tests.support.toy import song, write_toy_bundle

TITLES = {song(1): ("Vitamin C", "Can")}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_toy_bundle(tmp_path / "bundle", titles=TITLES)
    return tmp_path / "bundle"


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def edit_manifest(directory: Path, **fields: Any) -> None:
    manifest = json.loads((directory / "manifest.json").read_text())
    (directory / "manifest.json").write_text(json.dumps({**manifest, **fields}))


def seal(directory: Path, name: str) -> None:
    """Make size, sha256 and version right again after `name` was changed."""
    content = (directory / name).read_bytes()
    manifest = json.loads((directory / "manifest.json").read_text())
    entry = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    files = {**manifest["files"], name: entry}
    entries = {key: FileEntry(**value) for key, value in files.items()}
    version = _version(manifest["kind"], entries, manifest["config"])
    edit_manifest(directory, files=files, version=version)


def test_what_is_written_comes_back(directory: Path) -> None:
    bundle = read_bundle(directory)
    assert bundle.vocabulary.song_ids == [song(number) for number in range(6)]
    assert bundle.titles == TITLES
    assert bundle.weights["popularity"].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert bundle.manifest.training == {"plays": 21}
    assert bundle.manifest.metrics == {"mrr_at_20": 0.5}
    assert bundle.manifest.config["dim"] == 8
    assert bundle.manifest.version.startswith("gru-")


def test_another_model_has_another_version(tmp_path: Path) -> None:
    one = write_toy_bundle(tmp_path / "a", seed=1)
    two = write_toy_bundle(tmp_path / "b", seed=2)
    assert one.version != two.version


def test_songs_json_is_left_out_where_no_title_is_known(tmp_path: Path) -> None:
    write_toy_bundle(tmp_path / "a")
    assert set(contents(tmp_path / "a")) == {
        "manifest.json",
        "vocabulary.json",
        "weights.safetensors",
    }
    assert read_bundle(tmp_path / "a").titles == {}


def test_nothing_but_the_bundle_is_left_beside_it(directory: Path) -> None:
    assert [path.name for path in directory.parent.iterdir()] == ["bundle"]


def test_a_bundle_is_replaced_only_when_asked(directory: Path) -> None:
    before = contents(directory)
    with pytest.raises(BundleError, match="--overwrite"):
        write_toy_bundle(directory, seed=3)
    assert contents(directory) == before
    manifest = write_toy_bundle(directory, seed=3, overwrite=True)
    assert read_bundle(directory).manifest.version == manifest.version
    assert [path.name for path in directory.parent.iterdir()] == ["bundle"]


@pytest.mark.parametrize("name", ["notes.txt", "manifest.json"])
def test_a_directory_that_is_no_bundle_is_never_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(BundleError, match="no bundle"):
        write_toy_bundle(tmp_path, overwrite=True)
    assert contents(tmp_path) == {name: b"mine"}


def test_a_bundle_with_something_else_in_it_is_never_replaced(directory: Path) -> None:
    (directory / "notes.txt").write_text("mine")
    with pytest.raises(BundleError, match="left alone"):
        write_toy_bundle(directory, overwrite=True)


@pytest.mark.parametrize("name", ["weights.safetensors", "vocabulary.json", "songs.json"])
def test_a_flipped_byte_is_refused_by_the_name_of_its_file(directory: Path, name: str) -> None:
    content = bytearray((directory / name).read_bytes())
    content[len(content) // 2] ^= 1
    (directory / name).write_bytes(bytes(content))
    expected = json.loads((directory / "manifest.json").read_text())["files"][name]["sha256"]
    with pytest.raises(BundleError, match=rf"{name}: its sha256 is \w+, not {expected}"):
        read_bundle(directory)


@pytest.mark.parametrize("name", ["weights.safetensors", "vocabulary.json", "songs.json"])
def test_a_missing_or_cut_file_is_refused(directory: Path, name: str) -> None:
    size = (directory / name).stat().st_size
    (directory / name).write_bytes((directory / name).read_bytes()[:-1])
    with pytest.raises(BundleError, match=f"{name}: it has {size - 1} bytes, not {size}"):
        read_bundle(directory)
    (directory / name).unlink()
    with pytest.raises(BundleError, match=f"{name}: the file is missing"):
        read_bundle(directory)


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="segue train gru"):
        read_bundle(tmp_path)
    with pytest.raises(BundleError, match="segue train gru"):
        read_bundle(tmp_path / "absent")
    (tmp_path / "file").write_text("x")
    with pytest.raises(BundleError, match="segue train gru"):
        read_bundle(tmp_path / "file")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format_version": 1}', "\x00"])
def test_a_damaged_manifest_is_refused(directory: Path, text: str) -> None:
    (directory / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        read_bundle(directory)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format_version": 2}, "format_version is 2, but this Segue reads 1"),
        ({"kind": "amnn"}, "version is 'gru-"),
        ({"version": "gru-000000000000"}, "version is 'gru-000000000000'"),
        ({"config": {"dim": 9}}, "its content makes"),
        ({"files": {}}, "it lists no file"),
        ({"files": {"../../etc/passwd": {"sha256": "", "bytes": 1}}}, "it lists"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    directory: Path, fields: dict[str, Any], message: str
) -> None:
    edit_manifest(directory, **fields)
    with pytest.raises(BundleError, match=message):
        read_bundle(directory)


def test_another_kind_is_refused(directory: Path) -> None:
    with pytest.raises(BundleError, match="a 'gru' model, not 'amnn'"):
        read_bundle(directory, kind="amnn")


@pytest.mark.parametrize(
    ("songs", "message"),
    [(["a", "b"], "it has 2 songs, but weights.safetensors has 6"), (["a", "a"], "twice")],
)
def test_a_vocabulary_that_does_not_fit_is_refused(
    directory: Path, songs: list[str], message: str
) -> None:
    (directory / "vocabulary.json").write_text(json.dumps(songs))
    seal(directory, "vocabulary.json")
    with pytest.raises(BundleError, match=rf"vocabulary\.json: .*{message}"):
        read_bundle(directory)


@pytest.mark.parametrize("content", [b"", b"pickle me", b"\xff" * 64])
def test_weights_that_are_no_safetensors_are_refused(directory: Path, content: bytes) -> None:
    (directory / "weights.safetensors").write_bytes(content)
    seal(directory, "weights.safetensors")
    with pytest.raises(BundleError, match=r"weights\.safetensors"):
        read_bundle(directory)


def test_weights_of_another_shape_are_refused(directory: Path) -> None:
    weights = load_file(directory / "weights.safetensors")
    weights["songs.weight"] = torch.zeros(7, 9)
    save_file(weights, directory / "weights.safetensors")
    seal(directory, "weights.safetensors")
    with pytest.raises(BundleError, match=r"songs\.weight"):
        gru_from_bundle(read_bundle(directory))


def test_weights_without_popularity_are_refused(directory: Path) -> None:
    weights = load_file(directory / "weights.safetensors")
    del weights["popularity"]
    save_file(weights, directory / "weights.safetensors")
    seal(directory, "weights.safetensors")
    with pytest.raises(BundleError, match="popularity"):
        read_bundle(directory)


def test_a_config_no_network_can_have_is_refused(directory: Path) -> None:
    config = json.loads((directory / "manifest.json").read_text())["config"]
    edit_manifest(directory, config={**config, "dim": -1})
    seal(directory, "vocabulary.json")
    with pytest.raises(BundleError, match="dim must be > 0"):
        gru_from_bundle(read_bundle(directory))


def test_the_vocabulary_survives_odd_song_ids(tmp_path: Path) -> None:
    songs = ["", "ü\n", '"', "歌", "\U0001f3b5"]
    write_bundle(
        tmp_path / "b",
        kind="gru",
        config={},
        weights={"popularity": torch.ones(6)},
        vocabulary=Vocabulary(songs),
        titles={"歌": ("歌", "")},
        training={},
        metrics={},
    )
    assert read_bundle(tmp_path / "b").vocabulary.song_ids == songs


HUGE = 1 << 40  # bytes; nothing of it is on disk


@pytest.mark.parametrize("name", ["weights.safetensors", "vocabulary.json", "manifest.json"])
def test_a_huge_file_in_a_bundle_is_refused_by_its_size_alone(name, tmp_path):
    write_toy_bundle(tmp_path / "bundle")
    os.truncate(tmp_path / "bundle" / name, HUGE)
    began = time.process_time()
    with pytest.raises(BundleError, match=rf"{name}: it has {HUGE} bytes"):
        read_bundle(tmp_path / "bundle")
    assert time.process_time() - began < 1.0
    assert HUGE > MAX_MANIFEST_BYTES
