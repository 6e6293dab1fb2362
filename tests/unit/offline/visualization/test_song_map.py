"""The map of a world of groups keeps them apart, says how well, and can be looked at."""

from __future__ import annotations

import json
import re
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segue.models.bundles.bundle import write_bundle
from segue.models.data.vocabulary import Vocabulary
from segue.models.item2vec.scorer import bundle_weights
from segue.models.item2vec.skipgram import SkipGram, SkipGramConfig
from segue.offline.visualization.labels import largest, read_labels
from segue.offline.visualization.projection import (
    SongMapError,
    known_vectors,
    most_played,
    nearest,
    project_2d,
    purity,
)
from tests.support.cli import segue
from tests.support.toy import song, write_toy_bundle

GROUPS, EACH, DIM = 5, 24, 8
SONGS = GROUPS * EACH
HOSTILE = "</script><script>alert(1)</script>"


def grouped_vectors(seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Draw vectors about a direction for each group, float32 [SONGS + 1, DIM]."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(np.eye(DIM)[:GROUPS], EACH, axis=0)
    drawn = centres + 0.15 * rng.standard_normal((SONGS, DIM))
    lengths = rng.uniform(0.5, 3.0, (SONGS, 1))  # what a cosine does not see
    return np.concatenate([np.zeros((1, DIM)), drawn * lengths]).astype(np.float32)


LABELS = [f"group {row // EACH}" for row in range(SONGS)]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    vectors = grouped_vectors()
    counts = np.arange(SONGS, -1, -1)
    write_bundle(
        tmp_path / "songs",
        kind="skipgram",
        config=asdict(SkipGramConfig(dim=DIM)),
        weights=bundle_weights(SkipGram(vectors, vectors.copy(), counts, 1, 1e-4)),
        vocabulary=Vocabulary(map(song, range(SONGS))),
        titles={song(row): (f"Song {row} $x^2$", LABELS[row]) for row in range(1, SONGS)}
        | {song(0): (HOSTILE, LABELS[0])},
        training={},
        metrics={},
    )
    return tmp_path / "songs"


def test_the_map_of_groups_keeps_them_apart() -> None:
    vectors = torch.from_numpy(grouped_vectors()[1:])
    found = purity(vectors, project_2d(vectors, seed=0), LABELS)
    assert found is not None
    assert found.chance == pytest.approx((EACH - 1) / (SONGS - 1))
    assert found.vectors > 0.95
    assert found.plane > 0.9
    assert found.best == 1.0
    assert found.songs == SONGS


def test_labels_by_chance_are_no_purer_than_chance() -> None:
    vectors = torch.from_numpy(grouped_vectors()[1:])
    shuffled = np.random.default_rng(1).permutation(LABELS).tolist()
    found = purity(vectors, project_2d(vectors, seed=0), shuffled)
    assert found is not None
    assert found.vectors == pytest.approx(found.chance, abs=0.06)
    assert found.plane == pytest.approx(found.chance, abs=0.06)


def test_purity_worked_by_hand() -> None:
    # On a line at 0, 1, 3, 7 and 20; the last is of no label, the fourth alone with its own.
    plane = np.array([[0, 0], [1, 0], [3, 0], [7, 0], [20, 0]], np.float32)
    angles = torch.tensor([0.0, 0.2, 0.1, 1.0, 2.0])
    vectors = torch.stack([angles.cos(), angles.sin()], 1)
    found = purity(vectors, plane, ["a", "a", "b", "c", ""], neighbours=1)
    assert found is not None
    assert found.songs == 2
    assert found.plane == 1.0
    assert found.vectors == 0.0  # the angle 0.1 lies between theirs
    assert found.chance == pytest.approx(1 / 3)
    assert purity(vectors, plane, ["a", "b", "c", "d", "e"]) is None
    assert purity(vectors, plane, [""] * 5) is None


def test_nearest_points_worked_by_hand() -> None:
    points = np.array([[0, 0], [0, 2], [3, 0]], np.float32)
    assert nearest(points, 2).tolist() == [[1, 2], [0, 2], [0, 1]]


def test_a_map_repeats_for_its_seed_and_fills_the_square() -> None:
    vectors = torch.from_numpy(grouped_vectors()[1:])
    first, again = project_2d(vectors, seed=3), project_2d(vectors, seed=3)
    assert first.tobytes() == again.tobytes()
    assert np.abs(first).max() == pytest.approx(1.0)


def test_the_most_played_songs_are_chosen_and_those_nowhere_left_out() -> None:
    counts = torch.tensor([9.0, 1, 5, 3, 5, 2, 1])
    assert most_played(counts, 5).tolist() == [2, 4, 3, 5, 1]
    vectors = torch.ones(7, 2)
    vectors[4] = 0.0
    assert known_vectors(vectors, most_played(counts, 5)).tolist() == [2, 3, 5, 1]
    with pytest.raises(SongMapError, match="4 songs are too few for a map"):
        most_played(torch.ones(5), 5000)


def test_the_largest_labels_are_those_of_most_songs() -> None:
    assert largest(["b", "", "a", "a", "b", "c", "", ""], 5) == ["b", "a"]
    assert largest(["b", "a", "a", "b"], 1) == ["b"]


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    reported: dict[str, Any] = json.loads(found[1])
    return reported


def test_the_command_writes_a_picture_a_page_and_figures(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "map"
    run = segue("map", "--bundle", bundle, "--out", out, "--songs", 100)
    assert run.exit_code == 0, run.output
    png = (out / "map.png").read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert min(struct.unpack(">II", png[16:24])) > 1000
    figures = json.loads((out / "map.json").read_text())
    assert figures["songs"] == 100
    assert figures["purity"]["plane"] > 3 * figures["purity"]["chance"]
    data = data_of((out / "map.html").read_text())
    assert data["ids"] == [song(row) for row in range(100)]
    assert data["labels"] == LABELS[:100]
    assert np.abs(data["points"]).max() <= 1
    for row, near in enumerate(data["near"]):
        assert row not in near
    assert "share its artist" in run.output


def test_the_page_needs_no_network_and_no_title_can_run_in_it(bundle: Path, tmp_path: Path) -> None:
    assert segue("map", "--bundle", bundle, "--out", tmp_path / "map").exit_code == 0
    page = (tmp_path / "map" / "map.html").read_text()
    assert not re.search(r"https?://|src=|@import|url\(", page)
    assert HOSTILE not in page
    assert data_of(page)["names"][0] == HOSTILE
    assert page.count("</script>") == 2


def test_a_map_repeats_file_by_file(bundle: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert (
            segue("map", "--bundle", bundle, "--out", tmp_path / name, "--songs", 60).exit_code == 0
        )
    for name in ("map.html", "map.json", "map.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_labels_come_from_a_table(bundle: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    rows = [f'{song(row)},"{LABELS[row]}, so called"' for row in range(SONGS)]
    table.write_text("\n".join(["song_id,label", *rows]) + "\n")
    run = segue("map", "--bundle", bundle, "--out", tmp_path / "map", "--labels", table)
    assert run.exit_code == 0, run.output
    data = data_of((tmp_path / "map" / "map.html").read_text())
    assert set(data["legend"]) == {f"group {number}, so called" for number in range(GROUPS)}


def test_artists_come_from_a_play_log_where_the_bundle_has_none(tmp_path: Path) -> None:
    write_toy_bundle(tmp_path / "gru", songs=6)
    rows = [f"1\t1\t{song(row)}\t{row}\t{'ab'[row % 2]}" for row in range(6)]
    plays = tmp_path / "plays.tsv"
    plays.write_text("\n".join(["UserId\tSessionId\tItemId\tTime\tArtistId", *rows]) + "\n")
    run = segue("map", "--bundle", tmp_path / "gru", "--out", tmp_path / "map", "--plays", plays)
    assert run.exit_code == 0, run.output
    data = data_of((tmp_path / "map" / "map.html").read_text())
    assert sorted(data["legend"]) == ["a", "b"]


def test_the_tags_of_yes_com_give_genres(tmp_path: Path) -> None:
    (tmp_path / "tag_hash.txt").write_text("0, rock\n1, love\n2, country\n")
    (tmp_path / "tags.txt").write_text("0 1\n#\n0 2\n1\n")
    assert read_labels(tmp_path / "tags.txt") == ("genre", {"0": "Rock", "2": "Country"})


def test_what_cannot_be_mapped_is_told_in_one_line(bundle: Path, tmp_path: Path) -> None:
    write_toy_bundle(tmp_path / "small", songs=4)
    (tmp_path / "table.csv").write_text("song,genre\na,b\n")
    for arguments, message in (
        (["--bundle", tmp_path / "small"], "4 songs are too few for a map"),
        (["--bundle", bundle, "--labels", tmp_path / "table.csv"], "no song_id and no label"),
        (["--bundle", tmp_path / "absent"], "is no bundle"),
    ):
        run = segue("map", "--out", tmp_path / "map", *arguments)
        assert run.exit_code == 1
        assert message in run.output
        assert run.output.count("\n") == 1
    assert not (tmp_path / "map").exists()


def test_a_map_without_labels_is_drawn_all_the_same(tmp_path: Path) -> None:
    write_toy_bundle(tmp_path / "gru", songs=6)
    run = segue("map", "--bundle", tmp_path / "gru", "--out", tmp_path / "map")
    assert run.exit_code == 0, run.output
    assert "No two songs share a label" in run.output
    assert json.loads((tmp_path / "map" / "map.json").read_text())["purity"] is None
