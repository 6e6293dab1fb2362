"""No published list breaks a rule: random rules, songs and plays, checked song by song."""

from __future__ import annotations

from functools import cache
from itertools import count

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segue.models.data.catalogue import Catalogue, SongDetails
from segue.models.data.vocabulary import Vocabulary
from segue.models.gru.network import GRU, GRUConfig
from segue.models.recommenders.base import PopularityRecommender, RecommenderConfig, Request
from segue.models.recommenders.gru import GRURecommender
from segue.models.recommenders.hybrid import HybridRecommender
from segue.models.reranking.rule_engine import DAY_MS, MINUTE_MS, RuleBook
from segue.models.reranking.rules import ListRules
from segue.offline.chaos.rule_oracle import broken_rules
from segue.stream.messages.events import Play
from segue.stream.serving.pipeline import handle_plays, request_of
from segue.stream.serving.rules import decode_rules
from segue.stream.state.config import StoreConfig
from segue.stream.state.store import HistoryStore
from tests.support.toy import PAIRS, numbered, paired_sessions, song
from tests.support.toy_hybrid import fit_hybrid

LENGTH = 8
CONFIG = RecommenderConfig(list_length=LENGTH, no_repeat_songs=1, candidates=20)
SONGS = [*(song(number) for number in range(2 * PAIRS)), "new-1", "new-2"]
ARTISTS = ["Can", "Neu!", "Faust", "Cluster"]
START_MS = 1_700_000_000_000


@cache
def hybrid():
    log, songs = numbered(paired_sessions(PAIRS, 200, seed=3))
    return fit_hybrid(log, songs, epochs=1), torch.from_numpy(log.play_counts(songs))


@cache
def gru():
    made = GRU(GRUConfig(dim=8, hidden=8), 2 * PAIRS)
    made.initialise(torch.Generator().manual_seed(0))
    return made


def recommender(kind, book):
    if kind == "hybrid":
        return HybridRecommender(*hybrid(), "hybrid-test", CONFIG, book)
    if kind == "gru":
        known = Vocabulary(song(number) for number in range(2 * PAIRS))
        popularity = torch.ones(2 * PAIRS + 1)
        return GRURecommender(gru(), known, popularity, "gru-test", CONFIG, book=book)
    return PopularityRecommender(CONFIG, SONGS, book)


some_songs = st.lists(st.sampled_from(SONGS), max_size=4, unique=True)
some_artists = st.lists(st.sampled_from([*ARTISTS, "nobody", " CAN "]), max_size=2, unique=True)
shares = st.sampled_from([0.0, 0.25, 0.5, 1.0])


@st.composite
def rule_files(draw):
    """Write a file of rules, most of them off."""

    def maybe(values, off):
        return draw(st.just(off) | values)

    return f"""
        explicit = "{maybe(st.just("hide"), "allow")}"
        unknown_explicit = "{maybe(st.just("hide"), "allow")}"
        songs.block = {draw(some_songs)}
        songs.allow = {maybe(st.lists(st.sampled_from(SONGS), min_size=8, unique=True), [])}
        artists.block = {maybe(some_artists, [])}
        artists.allow = {maybe(some_artists, [])}
        artists.most = {draw(st.sampled_from([1, 2, 3, 100]))}
        artists.spacing = {draw(st.integers(0, 3))}
        heard.plays = {draw(st.integers(0, 6))}
        heard.minutes = {draw(st.sampled_from([0, 1, 10, 100]))}
        heard.session = {maybe(st.just("true"), "false")}
        released.share = {draw(shares)}
        unheard.share = {draw(shares)}
        diversity.mmr = {draw(shares)}
    """


details = st.builds(
    SongDetails,
    artist=st.sampled_from(["", *ARTISTS]),
    released_at_ms=st.none() | st.integers(START_MS - 60 * DAY_MS, START_MS),
    explicit=st.none() | st.booleans(),
)
catalogues = st.fixed_dictionaries({}, optional=dict.fromkeys(SONGS, details))
# Listener, song and minutes since the play before, of anybody.
played = st.lists(
    st.tuples(st.sampled_from(["u", "v"]), st.sampled_from(SONGS), st.sampled_from([0, 1, 5, 40])),
    min_size=1,
    max_size=12,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    config = StoreConfig(popular_list_length=len(SONGS), recent_plays=100, sync=False)
    store = HistoryStore(tmp_path_factory.mktemp("histories"), config)
    torch.set_num_threads(1)
    yield store
    store.close()


partitions = count()


def plays_of(reported):
    partition, now_ms = next(partitions), START_MS
    for offset, (user, song_id, minutes) in enumerate(reported):
        now_ms += minutes * MINUTE_MS
        yield Play(f"e{offset}", user, song_id, now_ms, partition, offset)


@pytest.mark.parametrize("kind", ["popularity", "gru", "hybrid"])
@settings(max_examples=30, suppress_health_check=[*HealthCheck])
@given(text=rule_files(), catalogue=catalogues, reported=played, cut=st.integers(0, 12))
def test_no_published_list_breaks_a_rule(kind, store, text, catalogue, reported, cut):
    rules = decode_rules(text)
    maker = recommender(kind, RuleBook(rules.with_default(1), Catalogue(catalogue)))
    plays = list(plays_of(reported))
    for batch in filter(None, (plays[:cut], plays[cut:])):
        known, lists = handle_plays(batch, {}, store, maker, now_ms=0)
        for at, made in zip(known, lists, strict=True):
            songs = [each.song_id for each in made.items]
            assert broken_rules(rules, catalogue, request_of(at), songs) == []
            assert len(songs) <= LENGTH


@pytest.mark.parametrize("kind", ["popularity", "gru", "hybrid"])
def test_rules_that_ask_for_nothing_change_nothing(kind, store):
    reported = [("u", song(n % 7), 1) for n in range(10)] + [("v", "new-1", 1), ("v", song(3), 90)]
    without = recommender(kind, None)
    book = RuleBook(ListRules().with_default(1), Catalogue({song(2): SongDetails(artist="Can")}))
    empty = recommender(kind, book)
    made = [
        [one.items for one in handle_plays([*plays_of(reported)], {}, store, each, now_ms=0)[1]]
        for each in (without, empty)
    ]
    assert made[0] == made[1]
    assert max(map(len, made[0])) == LENGTH


def test_the_checker_sees_every_rule_broken():
    rules = decode_rules(
        """
        explicit = "hide"
        songs.block = ["a"]
        artists = {block = ["Can"], most = 1, spacing = 2}
        heard.session = true
        """
    )
    catalogue = {
        "b": SongDetails(artist="can"),
        "c": SongDetails(explicit=True),
        "d": SongDetails(artist="Neu!"),
        "e": SongDetails(artist="neu!"),
    }
    found = broken_rules(rules, catalogue, Request(["f"], ()), ["a", "b", "c", "d", "e", "f", "f"])
    names = {each.partition(":")[0] for each in found}
    assert names == {
        *("songs.block", "artists.block", "explicit", "artists.most", "artists.spacing"),
        *("heard", "twice"),
    }
    allowed = ListRules(songs=type(rules.songs)(allow=("x",)))
    assert broken_rules(allowed, {}, Request([], ()), ["a"]) == ["songs.allow: a"]
