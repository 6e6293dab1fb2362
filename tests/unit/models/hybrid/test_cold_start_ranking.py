"""Songs without a play in the hybrid: retrieved, numbered, with features, recommended."""

from __future__ import annotations

import copy
from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch

from segue.models.bundles.bundle import BundleError, read_bundle
from segue.models.cold_start.audio_embeddings import EmbeddedSongs
from segue.models.data.catalogue import Catalogue, SongDetails
from segue.models.data.vocabulary import Vocabulary
from segue.models.hybrid.config import UNNAMED_RETRIEVERS
from segue.models.hybrid.model import HybridNextSong
from segue.models.ranking.schema import CANDIDATE_FEATURES
from segue.models.recommenders.base import RecommenderConfig, Request, contexts_of
from segue.models.recommenders.hybrid import HybridRecommender
from segue.models.reranking.rule_engine import RuleBook
from segue.offline.datasets.play_stream import PlayStream
from segue.offline.datasets.sessions import Predictions
from segue.offline.training.ranker_trainer import Examples
from segue.stream.state.store import HistoryStore
from tests.support.toy import PAIRS, number_sessions, numbered, paired_sessions, song
from tests.support.toy_hybrid import CONFIG, fit_hybrid, write_hybrid
from tests.support.toy_store import answered, plays_of, store

LISTS = RecommenderConfig(list_length=8, no_repeat_songs=2, candidates=20)
__all__ = ["store"]

NEW = "not-yet-played"
DETAILS = {
    **{song(n): SongDetails(artist=f"artist {n // 2}") for n in range(2 * PAIRS)},
    NEW: SongDetails(artist="artist 2"),
}


@pytest.fixture(scope="module")
def log_and_songs():
    return numbered(paired_sessions(PAIRS, 200, seed=3))


@pytest.fixture(scope="module")
def hybrid(log_and_songs):
    """Return a hybrid whose ranker believes in content."""
    artists = np.array([0, *range(1, 2 * PAIRS + 1)], np.int32)
    made = fit_hybrid(*log_and_songs, epochs=1, artists=artists)
    ranker = copy.deepcopy(made.ranker)
    with torch.no_grad():
        ranker.weights.weight[0, CANDIDATE_FEATURES.index("content")] = 9.0
    return HybridNextSong(made.generator, ranker, made.vocabulary, torch.ones(2 * PAIRS + 1))


@pytest.fixture
def model(hybrid, log_and_songs, tmp_path):
    """Return the same from a bundle of its own, so that no test sees another's catalogue."""
    write_hybrid(tmp_path / "hybrid", hybrid, log_and_songs[0])
    return HybridNextSong.from_bundle(read_bundle(tmp_path / "hybrid", "hybrid"))


def recommender_of(model, details=DETAILS):
    book = RuleBook(LISTS.rules, Catalogue(details))
    return HybridRecommender(model, torch.ones(2 * PAIRS + 1), "version", LISTS, book)


def sources(made):
    return {item.song_id: tuple(item.sources) for item in made.items}


def test_a_song_that_nobody_played_is_recommended_with_its_source(model, store):
    recommender = recommender_of(model)
    [*_, last] = answered(store, recommender, plays_of([("u", [song(8), song(4)])]))
    assert sources(last)[NEW] == ("content",)
    [listed] = recommender.recommend([Request([song(4)], ())])  # without a play buffer
    assert {each.song_id: each.sources for each in listed}[NEW] == ("content",)


def test_a_song_announced_later_is_recommended_from_then_on(model, store):
    known = {name: each for name, each in DETAILS.items() if name != NEW}
    recommender = recommender_of(model, known)
    plays = plays_of([("u", [song(8), song(4)]), ("v", [song(4)])])
    assert NEW not in sources(answered(store, recommender, plays[:2])[-1])
    recommender.book.catalogue.put(NEW, DETAILS[NEW])
    assert sources(answered(store, recommender, plays[2:])[-1])[NEW] == ("content",)
    recommender.book.catalogue.put(NEW, None)
    assert NEW not in sources(answered(store, recommender, plays)[-1])


def test_played_or_not_it_has_one_number_in_any_batch(model, hybrid, store, tmp_path):
    details = DETAILS | {f"x{n}": SongDetails(artist=f"artist {n}") for n in range(6)}
    played = [("u", [song(4), NEW, "x1"]), ("v", ["x2", song(4)]), ("w", [song(2), NEW, song(5)])]
    plays = plays_of([*played, ("x", [NEW, song(4), "x3", song(3)])])
    together = answered(store, recommender_of(model, details), plays)
    other = HistoryStore(tmp_path / "other", store.config)
    apart = []
    for play in plays:
        apart += answered(other, recommender_of(model, details), [play])
    assert apart == together
    assert all(len(set(sources(one))) == len(one.items) for one in together)
    assert {"content", "live"} <= set(sources(together[-1])[NEW])
    other.close()


def features(model, store, plays, song_id=NEW):
    one = store.append(plays)[-1]
    request = Request(one.session, (), one.history, snapshot=one.snapshot)
    inputs = model.generator.generate(contexts_of([request], model.vocabulary))
    place = inputs.items[0].tolist().index(inputs.songs + 1 + inputs.new_songs[0].index(song_id))
    return dict(zip(CANDIDATE_FEATURES, inputs.candidate_features[0, place].tolist(), strict=True))


def test_its_vector_moves_from_its_content_to_its_company(model, store):
    model.parts.content.update(Catalogue(DETAILS))
    space, vocabulary = model.parts.skipgram.rows, model.vocabulary
    content = model.parts.content.vectors[model.parts.content.songs.number(NEW)]
    neighbour = space[vocabulary.number(song(9))]
    wanted = space[vocabulary.number(song(4))]
    plays = plays_of([("u", [song(4)])])
    found = features(model, store, plays)
    assert found["content"] == pytest.approx(float(content @ wanted), abs=1e-5)
    assert found["skipgram"] == pytest.approx(float(content @ wanted), abs=1e-5)
    assert (found["is_new"], found["live_plays"], found["content_rank"] > 0) == (1, 0, True)
    assert (found["artist_is_last"], found["artist_known"]) == (0, 1)
    for count in (1, 4):
        played = [(f"v{count}-{n}", [song(9), NEW]) for n in range(count)]
        plays += plays_of([*played, (f"w{count}", [song(4)])], len(plays))
        total = count if count == 1 else 1 + count
        weight = total / (total + CONFIG.content.plays)
        both = (1 - weight) * content + weight * neighbour
        found = features(model, store, plays)
        expected = float(both / np.linalg.norm(both) @ wanted)
        assert found["skipgram"] == pytest.approx(expected, abs=1e-4)
        assert found["content"] == pytest.approx(float(content @ wanted), abs=1e-5)


def test_without_content_songs_nothing_is_told_of_them(model, store):
    inputs = model.generator.generate(contexts_of([Request([song(4)], ())], model.vocabulary))
    for name in ("content", "content_rank", "twins"):
        assert not inputs.candidate_features[:, :, CANDIDATE_FEATURES.index(name)].any()
    assert not inputs.ranks[:, :, UNNAMED_RETRIEVERS.index("content")].any()
    assert inputs.new_songs == [[]]


def test_a_bundle_whose_features_are_not_computed_here_is_refused(hybrid, log_and_songs, tmp_path):
    write_hybrid(tmp_path / "hybrid", hybrid, log_and_songs[0])
    bundle = read_bundle(tmp_path / "hybrid", "hybrid")
    config = dict(bundle.manifest.config)
    config["features"] = [*config["features"], "mood"]
    manifest = msgspec.structs.replace(bundle.manifest, config=config)
    with pytest.raises(BundleError, match="features mood"):
        HybridNextSong.from_bundle(replace(bundle, manifest=manifest))


def test_vectors_of_another_space_are_refused(hybrid, log_and_songs, tmp_path):
    write_hybrid(tmp_path / "hybrid", hybrid, log_and_songs[0])
    bundle = read_bundle(tmp_path / "hybrid", "hybrid")
    bundle.weights.update(EmbeddedSongs(["x"], np.ones((1, 5), np.float32)).weights())
    with pytest.raises(BundleError, match="5 numbers a song, not 8"):
        HybridNextSong.from_bundle(bundle)


def test_a_song_about_to_be_played_for_the_first_time_is_an_answer(model):
    songs = Vocabulary(model.vocabulary.song_ids)
    log = number_sessions([[song(8), song(4), NEW], [song(2), "unheard of"]], songs)
    predictions = Predictions.of(log, len(model.vocabulary))
    stream = PlayStream(log, songs.song_ids)
    assert Examples.of(model.generator, predictions, stream).recall < 0.5
    model.parts.content.update(Catalogue(DETAILS))
    made = Examples.of(model.generator, predictions, PlayStream(log, songs.song_ids))
    [(inputs, columns)] = made.batches
    found = [
        inputs.new_songs[row][int(inputs.items[row, column]) - inputs.songs - 1]
        for row, column in enumerate(columns.tolist())
        if column >= 0 and inputs.items[row, column] > inputs.songs
    ]
    assert found == [NEW]
