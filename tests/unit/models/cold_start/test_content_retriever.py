"""The table of songs without a play: where metadata or sound places them, and which are near."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segue.models.cold_start.audio_embeddings import EmbeddedSongs
from segue.models.cold_start.content_retriever import ContentConfig, ContentSongs
from segue.models.data.catalogue import Catalogue, SongDetails
from segue.models.data.play_metadata import UNKNOWN
from segue.models.data.vocabulary import Vocabulary
from segue.models.item2vec.retriever import SkipGramRetriever
from segue.offline.training.cold_start_augmentation import with_unplayed_songs

KNOWN = Vocabulary(["a", "b", "c", "d"])
PLACES = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0.8, 0]], np.float32)
OF_KNOWN = {
    "a": SongDetails(artist="Can", album="Tago Mago", genres=("krautrock", "rock")),
    "b": SongDetails(artist="can ", album="Ege Bamyasi", genres=("krautrock",)),
    "c": SongDetails(artist="Neu!", album="Tago Mago", genres=("rock",)),
}


def table_of(embedded=None, config=None):
    space = SkipGramRetriever(torch.from_numpy(PLACES), memory=0.0)
    artists = np.array([0, 7, 7, 8, 0], np.int32)
    return ContentSongs(KNOWN, space, 2 * PLACES, artists, config, embedded)


def filled(details, embedded=None):
    table = table_of(embedded)
    table.update(Catalogue({**OF_KNOWN, **details}))
    return table


def known_of(table, song_id):
    number = table.songs.number(song_id)
    return table.vectors[number].tolist(), int(table.artists[number]), float(table.twins[number])


class TestTable:
    def test_the_album_comes_before_the_artist_and_the_artist_before_genres(self):
        half = 0.5**0.5
        table = filled(
            {
                "on the album": SongDetails(artist="CAN", album="tago mago"),
                "by the artist": SongDetails(artist="Can", album="Future Days", genres=("rock",)),
                "of the genre": SongDetails(artist="Faust", genres=("krautrock",)),
                "nothing known": SongDetails(artist="Faust", genres=("polka",)),
            }
        )
        assert known_of(table, "on the album") == (pytest.approx([1, 0, 0]), 7, 1)
        assert known_of(table, "by the artist") == (pytest.approx([half, half, 0]), 7, 1)
        assert known_of(table, "of the genre") == (pytest.approx([half, half, 0]), 0, 1)
        assert known_of(table, "nothing known") == ([0, 0, 0], 0, 0)
        assert "a" not in table.songs

    def test_two_genres_weigh_as_they_fit(self):
        table = filled({"x": SongDetails(genres=("rock", "krautrock"))})
        rock, kraut = np.array([1, 0, 1]) / 2**0.5, np.array([1, 1, 0]) / 2**0.5
        expected = rock + kraut / 2
        assert known_of(table, "x")[0] == pytest.approx(
            expected / np.linalg.norm(expected), abs=1e-6
        )

    def test_songs_placed_alike_are_twins(self):
        more = {f"x{n}": SongDetails(artist="Neu!") for n in range(3)}
        table = filled({**more, "y": SongDetails(artist="Can")})
        assert [known_of(table, name)[2] for name in ("x0", "x2", "y")] == [3, 3, 1]

    def test_the_sound_wins_over_the_metadata(self):
        embedded = EmbeddedSongs(["x", "a"], np.array([[0, 0, 1], [0, 1, 0]], np.float32))
        table = filled({"x": SongDetails(artist="Can")}, embedded)
        assert known_of(table, "x") == ([0, 0, 1], 7, 1)
        assert "a" not in table.songs  # the model knows it

    def test_it_does_not_matter_in_what_steps_the_catalogue_came(self):
        chance = np.random.default_rng(1)
        names = [*"abcd", *(f"x{n}" for n in range(30))]
        catalogue, slow = Catalogue(), table_of()
        for _ in range(150):
            details = SongDetails(
                artist=str(chance.choice(["", "Can", "Neu!", "Faust"])),
                album=str(chance.choice(["", "I", "II"])),
                genres=("rock", "krautrock")[: chance.integers(3)],
                released_at_ms=int(chance.integers(9)),
            )
            catalogue.put(str(chance.choice(names)), details)
            if chance.random() < 0.7:
                slow.update(catalogue)
        slow.update(catalogue)
        fast = table_of()
        fast.update(catalogue)
        assert fast.songs.song_ids == slow.songs.song_ids
        assert all(known_of(fast, name) == known_of(slow, name) for name in fast.songs.song_ids)
        everything = np.arange(len(fast) + 1)
        assert (fast.among_known(everything) == slow.among_known(everything)).all()
        now = np.array([4])
        found = [table.nearest(PLACES[4:], now).items.tolist() for table in (fast, slow)]
        assert found[0] == found[1]

    def test_what_comes_out_later_is_not_found_and_ties_go_to_the_first(self):
        table = filled(
            {
                "later": SongDetails(artist="Can", released_at_ms=100),
                "first": SongDetails(artist="Can", released_at_ms=50),
                "second": SongDetails(artist="Can"),
                "unplaced": SongDetails(artist="Faust"),
            }
        )
        for now, names in ((60, ["first", "second"]), (UNKNOWN, ["later", "first", "second"])):
            found = table.nearest(PLACES[1:2], np.array([now]))
            assert table.songs.songs([n for n in found.items[0] if n]) == names
            assert found.scores[0, : len(names)] == pytest.approx(0.5**0.5)

    def test_a_row_does_not_depend_on_its_company(self):
        chance = np.random.default_rng(2)
        vectors = chance.normal(size=(500, 3)).astype(np.float32)
        table = table_of(EmbeddedSongs([f"x{n}" for n in range(500)], vectors))
        asked = chance.normal(size=(70, 3)).astype(np.float32)
        now = np.full(70, UNKNOWN)
        together = table.nearest(asked, now)
        exact = np.argsort(-(asked @ vectors.T), 1)[:, :30] + 1
        assert (together.items == exact).mean() > 0.99
        for row in (0, 33, 69):
            alone = table.nearest(asked[row : row + 1], now[:1])
            assert (alone.items[0] == together.items[row]).all()
            assert (alone.scores[0] == together.scores[row]).all()

    def test_among_the_gru_s_songs_it_stands_by_the_nearest(self):
        table = table_of(config=ContentConfig(nearest=2))
        table.update(Catalogue({**OF_KNOWN, "x": SongDetails(artist="Can", album="Tago Mago")}))
        [number] = table.songs.numbers(["x"])
        expected = PLACES[1] + PLACES[4]  # the two songs nearest to "a"
        found = table.among_known(np.array([number]))[number]
        assert found == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)

    @pytest.mark.parametrize("name", ["songs", "nearest", "plays"])
    def test_a_bad_config_is_refused_by_name(self, name):
        with pytest.raises(ValueError, match=name):
            ContentConfig(**{name: 0})


class TestEmbeddedSongs:
    SONGS = EmbeddedSongs(["x", "y"], np.eye(2, 3, dtype=np.float32))

    def test_they_come_back_from_tensors(self):
        again = EmbeddedSongs.of(self.SONGS.weights())
        assert again.song_ids == ["x", "y"]
        assert (again.vectors == self.SONGS.vectors).all()
        assert len(EmbeddedSongs.of({})) == 0
        assert EmbeddedSongs().weights() == {}

    def test_newer_vectors_hold_and_known_songs_go(self):
        newer = EmbeddedSongs(["y", "z"], np.full((2, 3), 2, np.float32))
        both = self.SONGS.joined(newer)
        assert list(both.song_ids) == ["x", "y", "z"]
        assert both.vectors.tolist() == [[1, 0, 0], [2, 2, 2], [2, 2, 2]]
        assert list(both.without(Vocabulary(["x", "z"])).song_ids) == ["y"]
        assert EmbeddedSongs().joined(newer) is newer


def test_decoys_are_like_songs_of_the_log_and_are_never_played():
    details = {"a": SongDetails("A", "Can"), "x": SongDetails("X", "Neu!", released_at_ms=9)}
    made = with_unplayed_songs(details, Vocabulary(["a"]), 5.0, seed=1)
    decoys = {name: each for name, each in made.items() if name not in details}
    assert len(decoys) == 5  # one song is new
    assert {each.artist for each in decoys.values()} <= {"Can", "Neu!"}
    assert all(each.released_at_ms is None for each in decoys.values())
    assert with_unplayed_songs(details, Vocabulary(["a"]), 5.0, seed=1) == made
