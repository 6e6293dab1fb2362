import numpy as np
import pytest
import torch

from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts
from segue.models.data.vocabulary import Vocabulary
from segue.models.gru.network import GRU, GRUConfig
from segue.models.gru.scorer import GRUNextSong
from segue.models.recommenders.base import PopularityRecommender, RecommenderConfig, Request
from segue.models.recommenders.gru import GRURecommender, likeness_reasons
from segue.models.retrieval.ann_index import IndexConfig, ItemIndex

SONGS = 400


@pytest.fixture(scope="module")
def model():
    made = GRU(GRUConfig(dim=16, hidden=16), SONGS)
    made.initialise(torch.Generator().manual_seed(0))
    return made


def recommender_of(model, exact_songs=SONGS, **config):
    vocabulary = Vocabulary(f"s{number}" for number in range(1, SONGS + 1))
    popularity = torch.zeros(SONGS + 1)
    popularity[7], popularity[5] = 9, 4
    index = ItemIndex(model.item_vectors(), IndexConfig(exact_songs=exact_songs))
    made = RecommenderConfig(**{"list_length": 10, "candidates": 60, **config})
    return GRURecommender(model, vocabulary, popularity, "gru-test", made, index)


def requests(count):
    chance = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, 12, (count,), generator=chance).tolist()
    return [
        Request([f"s{n}" for n in torch.randint(1, SONGS, (k,), generator=chance).tolist()], ())
        for k in lengths
    ]


def song_ids(songs):
    return [song.song_id for song in songs]


@pytest.mark.parametrize("exact_songs", [SONGS, 0], ids=["exact", "approximate"])
def test_a_list_is_the_same_bit_by_bit_in_any_batch(model, exact_songs):
    recommender = recommender_of(model, exact_songs)
    wanted = requests(40)
    together = recommender.recommend(wanted)
    assert [recommender.recommend([one])[0] for one in wanted] == together
    assert recommender.recommend(wanted[3:14]) == together[3:14]


def test_the_most_probable_songs_come_first(model):
    # 2,000 of 400 songs are drawn, and nearly all candidates are: the sum is nearly exact.
    recommender = recommender_of(model, no_repeat_songs=0, candidates=300)
    [songs] = recommender.recommend([Request(["s3", "s9", "s3"], ())])
    scorer = GRUNextSong(model, recommender.vocabulary, torch.ones(SONGS + 1))
    [scores] = scorer.scores(Contexts.of(Ragged.of([[3, 9, 3]])))
    best = scores.argsort(descending=True)[:10]
    assert song_ids(songs) == [f"s{number}" for number in best.tolist()]
    assert [song.score for song in songs] == pytest.approx(scores[best].tolist(), abs=0.02)


def test_songs_of_the_last_plays_are_left_out_and_no_others(model):
    free, strict = (recommender_of(model, no_repeat_songs=count) for count in (0, 2))
    first = Request(["s3"], ())
    [unfiltered] = free.recommend([first])
    session = [song_ids(unfiltered)[0], song_ids(unfiltered)[1], "s3"]
    [songs] = strict.recommend([Request(session, ())])
    [all_songs] = free.recommend([Request(session, ())])
    excluded = set(session[-2:])
    assert not excluded & set(song_ids(songs))
    kept = [song for song in song_ids(all_songs) if song not in excluded]
    assert song_ids(songs)[: len(kept)] == kept


def test_an_unknown_song_counts_among_the_last_plays(model):
    recommender = recommender_of(model, no_repeat_songs=1)
    free = recommender_of(model, no_repeat_songs=0)
    [with_unknown] = recommender.recommend([Request(["s3", "never heard of"], ())])
    [without] = free.recommend([Request(["s3"], ())])
    assert with_unknown == without  # s3 is not among the last 1 plays: it is not excluded


def test_reasons_are_songs_of_the_session_and_their_shares(model):
    recommender = recommender_of(model)
    [songs] = recommender.recommend([Request(["s3", "s9", "s3", "s4"], ())])
    for song in songs:
        again = song.song_id in {"s3", "s9", "s4"}
        assert song.sources == (("gru", "session") if again else ("gru",))
        assert {reason.song_id for reason in song.because} <= {"s3", "s9", "s4"}
        shares = [reason.weight for reason in song.because]
        # A share that would be reported as 0 is no reason.
        assert shares[0] == 1 or (len(shares) == 2 and 1 > shares[0] >= shares[1] > 0)
        assert sum(shares) <= 1.001
    [alone] = recommender.recommend([Request(["s3", "s3"], ())])
    assert all([reason.song_id for reason in song.because] == ["s3"] for song in alone)


def test_without_a_known_song_the_list_is_what_is_popular_now_then_in_training(model):
    recommender = recommender_of(model, no_repeat_songs=1)
    popular = [(-3.0, "new"), (-2.0, "s5"), (-1.0, "heard")]
    [songs] = recommender.recommend([Request(["heard"], popular)])
    assert song_ids(songs)[:3] == ["new", "s5", "s7"]  # s5 only once, s7 most played of old
    assert [song.score for song in songs][:2] == [1.0, 0.5]
    assert {song.sources for song in songs} == {("popularity",)}
    [empty] = recommender.recommend([Request([], [])])
    assert song_ids(empty)[:2] == ["s7", "s5"]


def test_known_and_unknown_listeners_share_a_batch(model):
    recommender = recommender_of(model)
    wanted = [Request(["?"], ()), Request(["s3"], ()), Request(["!"], ())]
    sources = [songs[0].sources[0] for songs in recommender.recommend(wanted)]
    assert sources == ["popularity", "gru", "popularity"]


def test_popularity_alone_makes_lists():
    recommender = PopularityRecommender(RecommenderConfig(list_length=2, no_repeat_songs=1))
    popular = [(-3.0, "a"), (-2.0, "b"), (-1.0, "c")]
    [songs] = recommender.recommend([Request(["x", "a"], popular)])
    assert song_ids(songs) == ["b", "c"]


def test_a_catalogue_smaller_than_a_list_gives_what_there_is(model):
    small = GRU(GRUConfig(dim=8, hidden=8), 3)
    small.initialise(torch.Generator().manual_seed(0))
    config = RecommenderConfig(list_length=20, no_repeat_songs=1, candidates=30)
    recommender = GRURecommender(small, Vocabulary("abc"), torch.ones(4), "v", config)
    [songs] = recommender.recommend([Request(["a", "b"], ())])
    assert sorted(song_ids(songs)) == ["a", "c"]


@pytest.mark.parametrize(
    ("config", "named"),
    [({"list_length": 0}, "list_length"), ({"list_length": 20, "candidates": 20}, "candidates")],
)
def test_bad_shapes_are_refused(config, named):
    with pytest.raises(ValueError, match=named):
        RecommenderConfig(**config)


def test_reasons_by_likeness_are_the_greatest_of_a_softmax():
    rng = np.random.default_rng(9)
    vectors = rng.normal(size=(12, 20)).astype(np.float32)
    plays = Ragged.of([[3, 4, 3, 5], [7], [1, 2, 3, 4, 5, 6]])
    items = np.array([[8, 9], [10, 0], [3, 11]])
    recent = [[5, 3, 4], [7], [6, 5, 4]]
    songs, shares = likeness_reasons(vectors, items, plays, width=3, limit=2, scale=0.5)
    for row, slot in np.ndindex(*items.shape):
        weights = np.exp(0.5 * vectors[recent[row]] @ vectors[items[row, slot]])
        reported = sorted(
            zip(recent[row], weights / weights.sum(), strict=True), key=lambda x: -x[1]
        )
        padded = [*reported, (0, 0.0)][:2] if items[row, slot] else [(0, 0.0)] * 2
        assert songs[row, slot].tolist() == [song for song, _ in padded]
        np.testing.assert_allclose(shares[row, slot], [w for _, w in padded], rtol=1e-5)
