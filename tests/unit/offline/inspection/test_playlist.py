"""Playlists: fed back song by song, and started from what people call a song."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch

from segue.models.bundles.bundle import Bundle, read_bundle
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts
from segue.models.data.vocabulary import Vocabulary
from segue.models.gru.network import GRUConfig
from segue.models.gru.scorer import GRUNextSong
from segue.offline.inspection.playlist import continue_playlist
from segue.offline.inspection.song_lookup import UnknownSong, find_song
from segue.offline.training.gru_trainer import train_gru
from tests.support.cli import segue
from tests.support.toy import number_sessions, paired_sessions, partner, song, write_toy_bundle

TITLES = {
    song(0): ("Vitamin C", "Can"),
    song(1): ("Halleluwah", "Can"),
    song(2): ("Halleluwah", "Some Cover Band"),
    song(3): ("Mushroom [live]", "Can"),
    song(4): ("song-5", "Trickster"),
}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_toy_bundle(tmp_path / "bundle", titles=TITLES)
    return tmp_path / "bundle"


@pytest.fixture
def bundle(directory: Path) -> Bundle:
    return read_bundle(directory)


@pytest.fixture
def model(bundle: Bundle) -> GRUNextSong:
    return GRUNextSong.from_bundle(bundle)


def chances_after(model: GRUNextSong, heard: list[int]) -> torch.Tensor:
    return model.scores(Contexts.of(Ragged.of([heard])))[0, 1:].exp()


def test_a_trained_model_plays_the_partner_after_each_song() -> None:
    config = GRUConfig(dim=16, hidden=16, batch_plays=64, learning_rate=0.01)
    vocabulary = Vocabulary()
    log = number_sessions(paired_sessions(10, 300, seed=1), vocabulary)
    trained = train_gru(log, vocabulary, config, epochs=6).next_song()
    numbers = trained.vocabulary.numbers([song(6)])
    songs = trained.vocabulary.songs(
        [each.item for each in continue_playlist(trained, numbers, 19)]
    )
    assert songs[0] == song(7)
    assert [partner(first) for first in songs[1::2]] == songs[2::2]


def test_each_song_is_fed_back_and_has_the_model_s_probability(model: GRUNextSong) -> None:
    first, second = continue_playlist(model, [2], 2, repeat=True)
    chances = chances_after(model, [2])
    assert first.item == int(chances.argmax()) + 1
    assert first.probability == pytest.approx(float(chances.max()), rel=1e-4)
    after = chances_after(model, [2, first.item])
    assert second.item == int(after.argmax()) + 1
    assert second.probability == pytest.approx(float(after.max()), rel=1e-4)


def test_no_song_comes_twice_and_the_playlist_ends_with_the_songs(model: GRUNextSong) -> None:
    songs = [each.item for each in continue_playlist(model, [2, 5], 100)]
    assert sorted(songs) == [1, 3, 4, 6]


def test_songs_may_come_twice_when_asked(model: GRUNextSong) -> None:
    songs = [each.item for each in continue_playlist(model, [2], 30, repeat=True)]
    assert len(songs) == 30


def test_drawing_follows_the_seed(model: GRUNextSong) -> None:
    def draw(seed: int) -> list[int]:
        songs = continue_playlist(model, [2], 20, generator=seeded(seed), repeat=True)
        return [each.item for each in songs]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_drawing_follows_the_probabilities(model: GRUNextSong) -> None:
    generator = seeded(0)
    drawn = Counter(
        each.item
        for _ in range(2000)
        for each in continue_playlist(
            model, [2], 1, generator=generator, temperature=10.0, repeat=True
        )
    )
    expected = chances_after(model, [2]) ** 0.1
    expected /= expected.sum()
    for item in range(1, 7):
        assert drawn[item] / 2000 == pytest.approx(float(expected[item - 1]), abs=0.04)


def test_a_cold_temperature_is_greedy(model: GRUNextSong) -> None:
    cold = continue_playlist(model, [2], 4, generator=seeded(0), temperature=1e-6)
    assert cold == continue_playlist(model, [2], 4)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (song(2), 3),
        ("vitamin c", 1),
        ("Vitamin C - Can", 1),
        ("mushroom", 4),
        ("cover", 3),
        ("song-5", 6),  # an id goes before the title that another song has
    ],
)
def test_a_song_is_found_by_id_or_title(bundle: Bundle, name: str, found: int) -> None:
    assert find_song(bundle, name) == found


def test_an_ambiguous_title_names_the_songs_it_may_mean(bundle: Bundle) -> None:
    with pytest.raises(UnknownSong, match=r"2 songs: song-1 \(Halleluwah - Can\), song-2 \("):
        find_song(bundle, "halleluwah")


@pytest.mark.parametrize("name", ["Vitamine", "vitamin d", "Halleluja"])
def test_an_unknown_title_names_near_ones(bundle: Bundle, name: str) -> None:
    near = "Vitamin C" if name[0] in "vV" else "Halleluwah"
    with pytest.raises(UnknownSong, match=f"no song with the id or title '{name}': near .*{near}"):
        find_song(bundle, name)


@pytest.mark.parametrize("name", ["", "qqqqqqqq"])
def test_a_name_near_nothing_is_refused(bundle: Bundle, name: str) -> None:
    with pytest.raises(UnknownSong, match=r"no song .*; vocabulary\.json"):
        find_song(bundle, name)


def test_the_command_shows_titles_and_writes_the_playlist(directory: Path, tmp_path: Path) -> None:
    reported = tmp_path / "playlist.json"
    run = segue(
        "playlist",
        *("--bundle", directory, "--start", "vitamin", "--start", song(1)),
        *("--length", 3, "--json", reported),
    )
    assert run.exit_code == 0, run.output
    figures = json.loads(reported.read_text())
    assert [entry["title"] for entry in figures["start"]] == ["Vitamin C", "Halleluwah"]
    assert len(figures["songs"]) == 3
    assert all(0 < entry["probability"] <= 1 for entry in figures["songs"])
    for entry in figures["songs"]:
        assert entry["song_id"] in run.output


def test_the_command_says_when_the_songs_run_out(directory: Path) -> None:
    run = segue("playlist", "--bundle", directory, "--start", song(0), "--length", 9)
    assert run.exit_code == 0
    assert "no more songs: 5 of 9" in run.output
    assert "Mushroom [live]" in run.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--start", "nobody"], "Error: the bundle knows no song"),
        (["--start", song(0), "--greedy", "--temperature", "1"], "exclude each other"),
        (["--start", song(0), "--length", "0"], "--length"),
        ([], "--start"),
    ],
)
def test_the_command_refuses_what_it_cannot_do(
    directory: Path, arguments: list[str], message: str
) -> None:
    run = segue("playlist", "--bundle", directory, *arguments)
    assert run.exit_code != 0
    assert message in run.output
    assert "Traceback" not in run.output


def test_the_command_refuses_a_directory_that_is_no_bundle(tmp_path: Path) -> None:
    run = segue("playlist", "--bundle", tmp_path, "--start", song(0))
    assert run.exit_code == 1
    assert "no bundle" in run.output
