"""Songs without a play: placed by metadata or sound, put forward, described, recommended."""

from __future__ import annotations

import copy
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from models.bundle import read_bundle
from models.catalogue import Catalogue, SongDetails
from models.content_songs import ContentConfig, ContentSongs
from models.embedded_songs import EmbeddedSongs
from models.hybrid_next_song import HybridNextSong
from models.hybrid_recommender import HybridRecommender
from models.play_details import UNKNOWN
from models.ranking_features import CANDIDATE_FEATURES, RETRIEVERS, UNNAMED_FEATURES, fitted
from models.recommender import RecommenderConfig, Request, contexts_of
from models.rule_book import RuleBook
from models.skipgram_space import SkipGramSpace
from models.vocabulary import Vocabulary
from offline.decoys import with_decoys
from stream.events import Play
from stream.pipeline import handle_plays
from stream.store import HistoryStore, StoreConfig
from tests.next_song_suite import PAIRS, numbered
from tests.toy import paired_sessions, song
from tests.toy_hybrid import CONFIG, fit_hybrid, write_hybrid

LISTS = RecommenderConfig(list_length=8, no_repeat_songs=2, candidates=20)
MINUTE = 60_000
KNOWN = Vocabulary(["a", "b", "c", "d"])
PLACES = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0.8, 0]], np.float32)
OF_KNOWN = {
    "a": SongDetails(artist="Can", album="Tago Mago", genres=("krautrock", "rock")),
    "b": SongDetails(artist="can ", album="Ege Bamyasi", genres=("krautrock",)),
    "c": SongDetails(artist="Neu!", album="Tago Mago", genres=("rock",)),
}


def table_of(embedded=None, config=None):
    space = SkipGramSpace(torch.from_numpy(PLACES), memory=0.0)
    artists = np.array([0, 7, 7, 8, 0], np.int32)
    return ContentSongs(KNOWN, space, 2 * PLACES, artists, config, embedded)


def filled(details, embedded=None):
    table = table_of(embedded)
    table.update(Catalogue({**OF_KNOWN, **details}))
    return table


def told(table, song_id):
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
        assert told(table, "on the album") == (pytest.approx([1, 0, 0]), 7, 1)
        assert told(table, "by the artist") == (pytest.approx([half, half, 0]), 7, 1)
        assert told(table, "of the genre") == (pytest.approx([half, half, 0]), 0, 1)
        assert told(table, "nothing known") == ([0, 0, 0], 0, 0)
        assert "a" not in table.songs

    def test_two_genres_weigh_as_they_fit(self):
        table = filled({"x": SongDetails(genres=("rock", "krautrock"))})
        rock, kraut = np.array([1, 0, 1]) / 2**0.5, np.array([1, 1, 0]) / 2**0.5
        expected = rock + kraut / 2
        assert told(table, "x")[0] == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)

    def test_songs_placed_alike_are_twins(self):
        more = {f"x{n}": SongDetails(artist="Neu!") for n in range(3)}
        table = filled({**more, "y": SongDetails(artist="Can")})
        assert [told(table, name)[2] for name in ("x0", "x2", "y")] == [3, 3, 1]

    def test_the_sound_wins_over_the_metadata(self):
        heard = EmbeddedSongs(["x", "a"], np.array([[0, 0, 1], [0, 1, 0]], np.float32))
        table = filled({"x": SongDetails(artist="Can")}, heard)
        assert told(table, "x") == ([0, 0, 1], 7, 1)
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
        assert all(told(fast, name) == told(slow, name) for name in fast.songs.song_ids)
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
    made = with_decoys(details, Vocabulary(["a"]), 5.0, seed=1)
    decoys = {name: each for name, each in made.items() if name not in details}
    assert len(decoys) == 5  # one song is new
    assert {each.artist for each in decoys.values()} <= {"Can", "Neu!"}
    assert all(each.released_at_ms is None for each in decoys.values())
    assert with_decoys(details, Vocabulary(["a"]), 5.0, seed=1) == made


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
    """Give a hybrid whose ranker believes in content."""
    artists = np.array([0, *range(1, 2 * PAIRS + 1)], np.int32)
    made = fit_hybrid(*log_and_songs, epochs=1, artists=artists)
    ranker = copy.deepcopy(made.ranker)
    with torch.no_grad():
        ranker.weights.weight[0, CANDIDATE_FEATURES.index("content")] = 9.0
    return HybridNextSong(made.retrieval, ranker, made.vocabulary, torch.ones(2 * PAIRS + 1))


@pytest.fixture
def model(hybrid, log_and_songs, tmp_path):
    """Give the same from a bundle of its own, so that no test sees another's catalogue."""
    write_hybrid(tmp_path / "hybrid", hybrid, log_and_songs[0])
    return HybridNextSong.from_bundle(read_bundle(tmp_path / "hybrid", "hybrid"))


def recommender_of(model, details=DETAILS):
    book = RuleBook(LISTS.rules, Catalogue(details))
    return HybridRecommender(model, torch.ones(2 * PAIRS + 1), "version", LISTS, book)


@pytest.fixture
def store(tmp_path):
    store = HistoryStore(tmp_path / "histories", StoreConfig(recent_plays=500))
    yield store
    store.close()


def plays_of(sessions, first=0):
    played = [(user, song_id) for user, songs in sessions for song_id in songs]
    return [
        Play(f"e{n}", user, song_id, n * MINUTE, 0, n)
        for n, (user, song_id) in enumerate(played, first)
    ]


def answered(store, recommender, plays):
    return handle_plays(plays, {}, store, recommender, now_ms=0)[1]


def sources(made):
    return {item.song_id: tuple(item.sources) for item in made.items}


def test_a_song_that_nobody_played_is_recommended_with_its_source(model, store):
    recommender = recommender_of(model)
    [*_, last] = answered(store, recommender, plays_of([("u", [song(8), song(4)])]))
    assert sources(last)[NEW] == ("content",)
    [listed] = recommender.recommend([Request([song(4)], ())])  # nobody says what was played
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
    request = Request(one.session, (), one.history, moment=one.moment)
    inputs = model.retrieval.inputs(contexts_of([request], model.vocabulary))
    place = inputs.items[0].tolist().index(inputs.songs + 1 + inputs.new_songs[0].index(song_id))
    return dict(zip(CANDIDATE_FEATURES, inputs.candidates[0, place].tolist(), strict=True))


def test_its_vector_moves_from_its_content_to_its_company(model, store):
    model.retrieval.content.update(Catalogue(DETAILS))
    space, vocabulary = model.retrieval.skipgram.rows, model.vocabulary
    content = model.retrieval.content.vectors[model.retrieval.content.songs.number(NEW)]
    company = space[vocabulary.number(song(9))]
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
        both = (1 - weight) * content + weight * company
        found = features(model, store, plays)
        expected = float(both / np.linalg.norm(both) @ wanted)
        assert found["skipgram"] == pytest.approx(expected, abs=1e-4)
        assert found["content"] == pytest.approx(float(content @ wanted), abs=1e-5)


def test_without_content_songs_nothing_is_told_of_them(model, store):
    inputs = model.retrieval.inputs(contexts_of([Request([song(4)], ())], model.vocabulary))
    for name in ("content", "content_rank", "twins"):
        assert not inputs.candidates[:, :, CANDIDATE_FEATURES.index(name)].any()
    assert not inputs.ranks[:, :, RETRIEVERS.index("content")].any()
    assert inputs.new_songs == [[]]


class TestOlderBundles:
    def test_features_are_found_by_name_and_those_unheard_of_weigh_nothing(self, hybrid):
        weights = hybrid.ranker.state_dict()
        kept = [CANDIDATE_FEATURES.index(name) for name in reversed(UNNAMED_FEATURES)]
        count, columns = len(CANDIDATE_FEATURES), weights["candidate_layer.weight"].shape[1]
        old = dict(weights)
        for name in ("candidate_mean", "candidate_scale", "weights.weight"):
            old[name] = weights[name][..., kept]
        order = [*kept, *range(count, columns)]
        old["candidate_layer.weight"] = weights["candidate_layer.weight"][:, order]
        again = fitted(old, UNNAMED_FEATURES[::-1])
        added = [place for place in range(count) if place not in kept]
        for name, tensor in again.items():
            assert tensor.shape == weights[name].shape
        layer = again["candidate_layer.weight"]
        assert not layer[:, added].any()
        assert torch.equal(layer[:, kept], weights["candidate_layer.weight"][:, kept])
        assert torch.equal(layer[:, count:], weights["candidate_layer.weight"][:, count:])
        assert (again["candidate_scale"][added] == 1).all()

    def test_a_ranker_that_never_learned_of_content_is_not_asked_for_it(
        self, hybrid, log_and_songs, tmp_path
    ):
        write_hybrid(tmp_path / "hybrid", hybrid, log_and_songs[0])
        bundle = read_bundle(tmp_path / "hybrid", "hybrid")
        config = {k: v for k, v in bundle.manifest.config.items() if k != "features"}
        count = len(UNNAMED_FEATURES)
        weights = dict(bundle.weights)
        for name in ("candidate_mean", "candidate_scale", "weights.weight"):
            weights[f"ranker.{name}"] = weights[f"ranker.{name}"][..., :count]
        layer = weights["ranker.candidate_layer.weight"]
        rest = layer[:, len(CANDIDATE_FEATURES) :]
        weights["ranker.candidate_layer.weight"] = torch.cat([layer[:, :count], rest], 1)
        manifest = replace_config(bundle.manifest, config)
        old = HybridNextSong.from_bundle(replace(bundle, manifest=manifest, weights=weights))
        assert old.retrieval.content is None
        recommender = recommender_of(old)
        [listed] = recommender.recommend([Request([song(4)], ())])
        assert len(listed) == LISTS.list_length
        assert NEW not in [each.song_id for each in listed]

    def test_vectors_of_another_space_are_refused(self, hybrid, log_and_songs, tmp_path):
        from models.bundle import BundleError

        write_hybrid(tmp_path / "hybrid", hybrid, log_and_songs[0])
        bundle = read_bundle(tmp_path / "hybrid", "hybrid")
        bundle.weights.update(EmbeddedSongs(["x"], np.ones((1, 5), np.float32)).weights())
        with pytest.raises(BundleError, match="5 numbers a song, not 8"):
            HybridNextSong.from_bundle(bundle)


def replace_config(manifest, config):
    from msgspec.structs import replace as with_fields

    assert asdict(CONFIG)["features"] == UNNAMED_FEATURES  # the default: what older ones had
    return with_fields(manifest, config=config)
