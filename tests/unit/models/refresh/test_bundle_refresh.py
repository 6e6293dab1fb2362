"""Models with newer plays in them: new songs find their place, old ones keep theirs."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import chain

import numpy as np
import pytest
import torch

from segue.models.bundles.bundle import BundleError, read_bundle, write_bundle
from segue.models.data.catalogue import SongDetails
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts, SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.item2vec.scorer import bundle_weights
from segue.models.item2vec.skipgram import SkipGramConfig, train_skipgram
from segue.models.refresh.bundle_refresh import NewPlays, extended, refresh_bundle
from segue.models.refresh.embedding_init import CoOccurrences
from segue.models.refresh.embedding_refresh import RefreshConfig, refresh_vectors, turn_back
from segue.models.registry import model_of
from tests.support.toy import number_sessions, paired_sessions, partner, song, write_toy_bundle
from tests.support.toy_hybrid import fit_hybrid, write_hybrid

PAIRS = 30
CONFIG = SkipGramConfig(dim=16, window=1, epochs=40, decay=0.0)


@pytest.fixture(scope="module")
def trained():
    """Return vectors of a world of pairs, its songs and the sessions they were learned from."""
    songs = Vocabulary()
    log = number_sessions(paired_sessions(PAIRS, 600, seed=1), songs)
    return train_skipgram(log.sessions, len(songs), CONFIG), songs, log


def with_new_pair(songs, sessions=40, seed=2):
    """Return sessions in which two songs nobody knew, `first` then `second`, stand among pair 0."""
    grown = Vocabulary(songs.song_ids)
    rows = [["song-0", "first", "second", "song-1"] for _ in range(sessions)]
    log = number_sessions([*rows, *paired_sessions(PAIRS, 100, seed=seed)], grown)
    return log, grown


def cosine(rows, one, other):
    return float(rows[one] @ rows[other] / np.linalg.norm(rows[one]) / np.linalg.norm(rows[other]))


class TestCompany:
    def test_the_nearer_the_more(self):
        company = CoOccurrences.of(Ragged.of([[1, 4, 3, 2]]), np.array([0, 1, 1, 1]), 4)
        assert company.shares.toarray()[4].tolist() == [0, 0.4, 0.2, 0.4]  # 1, 1/2, 1 over 2.5

    def test_a_row_points_to_its_company_as_near_as_known_songs_do_to_theirs(self):
        rng = np.random.default_rng(0)
        table = np.concatenate([np.zeros((1, 16)), rng.normal(size=(40, 16))]).astype(np.float32)
        sessions = Ragged.of([*rng.integers(1, 41, (30, 6)).tolist(), [3, 41, 5], [3, 42]])
        company = CoOccurrences.of(sessions, np.ones(41, np.int64), 42)
        made = company.extend(table)
        assert (made[:41] == table).all()
        means = company.shares @ unit_rows(table)
        near = (unit_rows(made) * unit_rows(means)).sum(1)
        assert near[41:] == pytest.approx(near[1:41].mean(), abs=1e-3)
        assert np.linalg.norm(made[42]) == pytest.approx(np.linalg.norm(table[3]), rel=1e-5)
        assert (company.extend(table) == made).all()

    def test_songs_heard_among_new_ones_alone_take_the_mean_of_all(self):
        table = np.array([[0, 0], [2, 0], [0, 4]], np.float32)
        company = CoOccurrences.of(Ragged.of([[3, 4]]), np.array([0, 1, 1]), 4)
        expected = np.array([1, 2]) / np.sqrt(5) * 3
        assert company.extend(table)[3:] == pytest.approx(np.stack([expected] * 2))

    def test_a_single_column_is_that_of_the_rarest(self):
        table = np.array([[0], [-1], [-9], [-2]], np.float32)
        company = CoOccurrences.of(Ragged.of([[1, 4]]), np.array([0, 9, 1, 5]), 4)
        assert company.extend(table)[4:].tolist() == [[-9]]

    def test_sessions_do_not_reach_into_each_other(self):
        company = CoOccurrences.of(Ragged.of([[1, 3], [2]]), np.array([0, 1, 1]), 3)
        assert company.shares.toarray()[3].tolist() == [0, 1, 0]


def unit_rows(rows):
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


class TestVectors:
    def test_new_songs_stand_where_they_are_heard_and_old_ones_stay(self, trained):
        vectors, songs, old = trained
        log, grown = with_new_pair(songs)
        refreshed, drift = refresh_vectors(
            vectors, log.sessions, old.sessions, len(grown), CONFIG, RefreshConfig()
        )
        first, zero = grown.number("first"), grown.number("song-0")
        near = [cosine(refreshed.inputs, first, other) for other in range(1, len(songs) + 1)]
        assert 1 + int(np.argsort(near)[-1]) in (zero, grown.number("song-1"))
        assert drift.cosine > 0.95
        assert drift.cosine >= drift.turned

    def test_continued_training_alone_turns_the_space_and_it_is_turned_back(self, trained):
        vectors = trained[0]
        turn = np.linalg.qr(np.random.default_rng(0).normal(size=(16, 16)))[0].astype(np.float32)
        turned = replace(vectors, inputs=vectors.inputs @ turn, outputs=vectors.outputs @ turn)
        back, drift = turn_back(turned, vectors, anchors=50)
        assert drift.turned < 0.5
        assert drift.cosine == pytest.approx(1, abs=1e-5)
        assert back.inputs == pytest.approx(vectors.inputs, abs=1e-4)
        products = vectors.inputs @ vectors.outputs.T
        assert back.inputs @ back.outputs.T == pytest.approx(products, abs=1e-3)

    def test_counts_decay_and_old_sessions_are_not_counted_twice(self, trained):
        vectors, songs, old = trained
        log, grown = with_new_pair(songs, sessions=40)
        refreshed, _ = refresh_vectors(
            vectors, log.sessions, old.sessions, len(grown), CONFIG, RefreshConfig(), kept=0.5
        )
        new = np.bincount(log.sessions.values, minlength=len(grown) + 1)
        before = np.append(vectors.counts, [0, 0])
        decayed = np.maximum((before * 0.5).round(), before > 0)
        assert refreshed.counts.tolist() == (decayed + new).tolist()
        assert refreshed.counts[grown.number("first")] == 40
        assert refreshed.epochs == vectors.epochs + RefreshConfig().epochs
        assert refreshed.learning_rate == pytest.approx(RefreshConfig().learning_rate)

    def test_the_same_again_is_the_same(self, trained):
        vectors, songs, old = trained
        log, grown = with_new_pair(songs)
        made = [
            refresh_vectors(
                vectors, log.sessions, old.sessions, len(grown), CONFIG, RefreshConfig(), seed=3
            )[0]
            for _ in range(2)
        ]
        assert (made[0].inputs == made[1].inputs).all()
        assert (made[0].outputs == made[1].outputs).all()


def new_plays(bundle, rows, kept=1.0):
    songs = extended(bundle)
    log = number_sessions(rows, songs)
    return NewPlays(songs, log, Ragged.of([]), kept)


def scored(model, heard):
    numbers = model.vocabulary.numbers(heard)
    [scores] = model.scores(Contexts.of(Ragged.of([numbers])))
    return scores


class TestBundles:
    def test_a_gru_gets_rows_for_new_songs_and_keeps_the_rest(self, tmp_path):
        write_toy_bundle(tmp_path / "gru", songs=6)
        bundle = read_bundle(tmp_path / "gru")
        made = refresh_bundle(
            bundle, new_plays(bundle, [["song-1", "new", "song-2"]], kept=0.5), RefreshConfig()
        )
        assert made.songs.song_ids == [*bundle.vocabulary.song_ids, "new"]
        assert torch.equal(made.weights["songs.weight"][:7], bundle.weights["songs.weight"])
        assert made.weights["popularity"].tolist() == [0, 0.5, 2, 2.5, 2, 2.5, 3, 1]
        model = model_of(replace(bundle, weights=made.weights, vocabulary=made.songs))
        assert scored(model, ["song-1"])[7] > -torch.inf

    def test_a_hybrid_recommends_a_new_song_where_it_was_heard(self, tmp_path):
        songs = Vocabulary()
        log = number_sessions(paired_sessions(PAIRS, 400, seed=1), songs)
        write_hybrid(tmp_path / "hybrid", fit_hybrid(log, songs, epochs=2), log)
        bundle = read_bundle(tmp_path / "hybrid", kind="hybrid")
        bundle.weights["songs.artists"][songs.number("song-4")] = 7
        reported = {"song-4": "Miles Davis", "new": "miles  davis"}
        bundle = replace(bundle, details={s: SongDetails(artist=a) for s, a in reported.items()})
        rows = [["song-4", "new"] for _ in range(30)]
        made = refresh_bundle(bundle, new_plays(bundle, rows), RefreshConfig())
        model = model_of(replace(bundle, weights=made.weights, vocabulary=made.songs))
        best = scored(model, ["song-20", "song-21", "song-4"]).topk(3).indices.tolist()
        assert made.songs.number("new") in best
        assert scored(model, [song(8)]).argmax() == made.songs.number(partner(song(8)))
        assert made.weights["memory.songs"].tolist()[-60:] == [
            *made.songs.numbers(chain(*rows)),
        ]
        assert made.weights["songs.artists"][made.songs.numbers(["new", "song-8"])].tolist() == [
            7,
            0,
        ]
        self.check_space_and_ages(bundle, made, len(log.sessions.values))

    def check_space_and_ages(self, bundle, made, plays):
        """What goes on learning lies where it lay; old songs are older, the new one is young."""
        before, after = (each.weights["skipgram.vectors"] for each in (bundle, made))
        assert (before * after[: len(before)]).sum(1)[1:].mean() > 0.7
        assert made.drift.cosine > 0.9
        ages = made.weights["songs.ages"].exp()
        assert ages[-1] == pytest.approx(60 / (1 + plays + 60))
        old = bundle.weights["songs.ages"].exp()
        expected = (old * (1 + plays) + 60) / (1 + plays + 60)
        assert ages[1:-1] == pytest.approx(expected[1:], rel=1e-4)
        next_bundle = replace(bundle, weights=made.weights, vocabulary=made.songs)
        again = refresh_bundle(
            next_bundle, new_plays(next_bundle, [["song-4", "new"]] * 9), RefreshConfig()
        )
        epochs = [each.weights["skipgram.epochs"].item() for each in (made, again)]
        assert epochs == [8, 13]  # 3 of training, 5 of each refresh
        assert again.weights["skipgram.counts"][-1] == 39

    def test_a_new_artist_has_a_number_of_its_own(self, tmp_path):
        songs = Vocabulary()
        log = number_sessions(paired_sessions(PAIRS, 100, seed=1), songs)
        write_hybrid(tmp_path / "hybrid", fit_hybrid(log, songs, epochs=1), log)
        bundle = read_bundle(tmp_path / "hybrid", kind="hybrid")
        bundle.weights["songs.artists"][5] = 7
        reported = {"a": "First", "b": "Second", "c": "First"}
        bundle = replace(bundle, details={s: SongDetails(artist=a) for s, a in reported.items()})
        made = refresh_bundle(bundle, new_plays(bundle, [["a", "b", "c", "d"]]), RefreshConfig())
        assert made.weights["songs.artists"][-4:].tolist() == [8, 9, 8, 0]

    def test_a_kind_that_cannot_be_refreshed_is_named(self, tmp_path):
        write_bundle(
            tmp_path / "b",
            kind="amnn",
            config={},
            weights={"popularity": torch.zeros(2)},
            vocabulary=Vocabulary(["a"]),
            titles={},
            training={},
            metrics={},
        )
        bundle = read_bundle(tmp_path / "b", kind="amnn")
        with pytest.raises(BundleError, match="'amnn' bundle cannot be refreshed"):
            refresh_bundle(bundle, new_plays(bundle, [["a", "b"]]), RefreshConfig())

    def test_song_vectors_go_through_a_bundle(self, trained, tmp_path):
        vectors, songs, _ = trained
        write_bundle(
            tmp_path / "songs",
            kind="skipgram",
            config=asdict(CONFIG),
            weights=bundle_weights(vectors),
            vocabulary=songs,
            titles={},
            training={},
            metrics={},
        )
        bundle = read_bundle(tmp_path / "songs", kind="skipgram")
        log, grown = with_new_pair(songs)
        empty = SessionLog(log.sessions, log.listeners, log.began_ms)
        made = refresh_bundle(bundle, NewPlays(grown, empty, Ragged.of([]), 1.0), RefreshConfig())
        assert made.drift.cosine > 0.9
        model = model_of(replace(bundle, weights=made.weights, vocabulary=made.songs))
        assert scored(model, ["first"]).argmax() in grown.numbers(
            ["first", "second", "song-0", "song-1"]
        )
