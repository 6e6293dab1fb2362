"""A listener deleted on request: gone from all that was built from the log, others unharmed."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.models.recommenders.base import PopularityRecommender, RecommenderConfig
from segue.stream.config.settings import load_settings
from segue.stream.messages.events import Erasure, ErasureEvent, Play, PlayEvent, encode
from segue.stream.messages.records import Record, read_batch
from segue.stream.refresh.sessions import FreshConfig, FreshSessions
from segue.stream.serving.factory import store_config
from segue.stream.serving.pipeline import handle_batch, recover_batch
from segue.stream.state.config import HistoryConfig, StoreConfig
from segue.stream.state.store import HistoryStore
from tests.support.brokers import own_settings
from tests.support.cli import segue
from tests.support.live import (
    Reader,
    Worker,
    answered,
    environment,
    event,
    expected_histories,
    histories,
    produce,
)
from tests.support.toy import write_toy_bundle
from tests.unit.models.data.test_play_buffer import seen

MINUTE = 60_000
SMALL = StoreConfig(
    HistoryConfig(max_songs=20, session_gap_ms=30 * MINUTE),
    popularity_half_life_ms=600 * MINUTE,
    recent_plays=20,
    sync=False,
)
SETTINGS = load_settings()


def record(offset, value, partition=0):
    return Record("plays", partition, offset, 0, None, encode(value))


def play_record(offset, user, song):
    return record(offset, PlayEvent(f"e{offset}", user, song, offset * MINUTE))


def erasure_record(offset, user):
    return record(offset, ErasureEvent(f"f{offset}", user, "forget"))


def log_of(steps):
    """Turn (user, song) and (user, None) into records: a play, or a request to forget."""
    return [
        erasure_record(offset, user) if song is None else play_record(offset, user, song)
        for offset, (user, song) in enumerate(steps)
    ]


def fed(path, records, size=7):
    store = HistoryStore(path, SMALL)
    for begin in range(0, len(records), size):
        recover_batch(read_batch(records[begin : begin + size], SETTINGS), store)
    return store


def content(store):
    """Everything the store holds, byte for byte."""
    with store._env.begin() as txn:
        return [list(txn.cursor(db=database)) for database in store._databases]


def held(store, text):
    return any(
        text.encode() in bytes(key) + b"|" + bytes(value)
        for database in content(store)
        for key, value in database
    )


def weights(store):
    return dict(store._states[0].popularity.weights)


steps = st.lists(
    st.tuples(st.sampled_from(["ann", "bob", "cyd"]), st.sampled_from("pqrstu")), max_size=70
)


@settings(max_examples=60)
@given(steps, st.integers(0, 70))
def test_what_is_forgotten_is_as_if_it_had_never_been(tmp_path_factory, taken, cut):
    """Before the cut, Bob's plays are forgotten; a song that only he played then is unknown."""
    directory = tmp_path_factory.mktemp("stores")
    before = [*taken[:cut], ("bob", "only-bobs"), ("cyd", "p"), ("bob", "only-bobs")]
    whole = [*before, ("bob", None), *taken[cut:]]
    without = [
        step if step[0] != "bob" or n > len(before) else ("x", None) for n, step in enumerate(whole)
    ]
    store, other = fed(directory / "a", log_of(whole)), fed(directory / "b", log_of(without))
    assert not held(store, "only-bobs")
    assert list(store.users()) == list(other.users())
    assert weights(store) == pytest.approx(weights(other))
    tops = [[song for _, song in each._states[0].popularity.top] for each in (store, other)]
    assert sorted(tops[0]) == sorted(tops[1])
    for each in (store, other):
        each.close()


@settings(max_examples=40)
@given(steps, st.lists(st.tuples(st.integers(0, 70), st.sampled_from(["ann", "bob"])), max_size=3))
def test_memory_disk_and_every_way_to_cut_the_log_agree(tmp_path_factory, taken, cuts):
    directory = tmp_path_factory.mktemp("stores")
    for place, user in cuts:
        taken.insert(place, (user, None))
    records = log_of([*taken, ("cyd", "p")])
    store, singly = fed(directory / "a", records, 50), fed(directory / "b", records, 1)
    assert content(store) == content(singly)
    ring = store._states[0].recent
    singly.close()
    again = HistoryStore(directory / "b", SMALL)  # from the disk, and the whole log once more
    recover_batch(read_batch(records, SETTINGS), again)
    assert content(again) == content(store)
    for number in range(max(1, ring.end - 20), ring.end + 1):
        assert seen(again._states[0].recent, number) == seen(ring, number)
    for each in (store, again):
        each.close()


def test_erased_plays_lead_nowhere(tmp_path):
    listened = [("bob", "a"), ("ann", "a"), ("bob", "b"), ("ann", "c"), ("bob", "a"), ("bob", None)]
    store = fed(tmp_path, log_of(listened))
    recent = store._states[0].recent
    assert [seen(recent, 5)[each][1] for each in range(5)] == ["", "a", "", "c", ""]
    assert [one[2:] for one in seen(recent, 5)] == [
        (1, None, None, None),
        (2, None, 4, None),
        (3, None, None, None),
        (2, 2, None, None),
        (5, None, None, None),
    ]
    assert recent.slot("b") == 0
    [again] = store.append([Play("e4", "bob", "a", 4 * MINUTE, 0, 4)])
    assert not again.is_new
    assert again.snapshot is None
    store.close()


def test_lists_before_an_erasure_are_the_same_in_whatever_batch(tmp_path):
    chance = random.Random(0)
    taken = [(f"u{chance.randrange(4)}", f"s{chance.randrange(9)}") for _ in range(60)]
    for place in (20, 21, 40):
        taken.insert(place, ("u1", None))
    records = log_of(taken)
    made = []
    for size in (1, 63):
        store = HistoryStore(tmp_path / str(size), SMALL)
        recommender = PopularityRecommender(RecommenderConfig(list_length=5, no_repeat_songs=1))
        lists, known = [], []
        for begin in range(0, len(records), size):
            batch = read_batch(records[begin : begin + size], SETTINGS)
            reported, some = handle_batch(batch, store, recommender, now_ms=0)
            known += [(one.session, one.history, one.snapshot) for one in reported]
            lists += some
        made.append((known, lists))
        store.close()
    assert made[0] == made[1]
    assert len(made[0][1]) == 60


def test_refresh_forgets_sessions_learned_or_not_and_only_once():
    fresh = FreshSessions(FreshConfig(gap_ms=30 * MINUTE))
    listened = [("bob", "a"), ("ann", "b")]
    records = [
        *(play_record(offset, *step) for offset, step in enumerate(listened)),
        *(play_record(offset + 100, *step) for offset, step in enumerate(listened)),
        *(play_record(offset + 200, *step) for offset, step in enumerate(listened)),
    ]
    fresh.take_batch(read_batch(records[:4], SETTINGS))
    fresh.learned(50 * MINUTE)
    fresh.close_stale()
    fresh.take_batch(read_batch(records[4:], SETTINGS))
    state = fresh.state
    parts = (state.reservoir, state.fresh, state.open.values())
    assert [sorted(one.user_id for one in part) for part in parts] == [["ann", "bob"]] * 3
    erasure = erasure_record(300, "bob")
    fresh.take_batch(read_batch([erasure], SETTINGS))
    parts = (state.reservoir, state.fresh, state.open.values())
    assert [[one.user_id for one in part] for part in parts] == [["ann"]] * 3
    fresh.take_batch(read_batch([play_record(301, "bob", "c"), erasure], SETTINGS))
    assert "0:bob" in state.open
    assert fresh.position(0) == 302


@pytest.mark.parametrize("value", [b"", b"null", b'{"action":"forget"}'])
def test_what_is_no_whole_request_deletes_nothing(value):
    batch = read_batch([Record("plays", 0, 3, 0, b"bob", value)], SETTINGS)
    assert batch.erasures == []
    assert len(batch.dead_letters) == 1


def test_a_request_is_read_with_its_place():
    batch = read_batch([erasure_record(3, "bob")], SETTINGS)
    assert batch.erasures == [(0, Erasure("f3", "bob", 0, 3))]
    assert batch.dead_letters == []
    assert batch.next_offsets == {0: 4}


@pytest.mark.broker
def test_the_command_deletes_a_listener_for_good(broker, tmp_path, monkeypatch):
    from segue.stream.kafka.topics import ensure_topics

    write_toy_bundle(tmp_path / "bundle", songs=20)
    made = own_settings(
        broker, data_dir=tmp_path / "data", bundle=tmp_path / "bundle", batch_max=20
    )
    ensure_topics(made)
    chance = random.Random(1)
    songs = [f"song-{number}" for number in range(20)]
    some = [event(n, f"user-{chance.randrange(9)}", chance.choice(songs)) for n in range(300)]
    gone = [event(300 + n, "gone-for-good", f"secret-{n % 3}") for n in range(30)]
    late = [event(400 + n, f"user-{n}", songs[n]) for n in range(5)]
    chance.shuffle(early := some + gone)
    reader = Reader(made, made.topic_recommendations)
    worker = Worker(made, tmp_path / "worker.log")
    with worker.running():
        early_places = produce(made, [(one.user_id, encode(one)) for one in early])
        reader.read_until(answered(early_places))
        for name, value in environment(made).items():
            if name.startswith("SEGUE_"):
                monkeypatch.setenv(name, value)
        result = segue("forget", "gone-for-good", "--yes")
        assert result.exit_code == 0, result.output + worker.log()
        late_places = produce(made, [(one.user_id, encode(one)) for one in late])
        records = reader.read_until(answered(early_places + late_places))
        worker.stop()
    reader.close()
    places = early_places + late_places
    whole = expected_histories(early + late, places)
    del whole["gone-for-good"]
    assert histories(made) == whole
    rebuilt = HistoryStore(tmp_path / "rebuilt", store_config(made))
    from segue.offline.replay.sources import TopicSource

    source = TopicSource.open(made)
    for partition in source.partitions:
        log = list(source.records(partition, 0, source.ends[partition]))
        recover_batch(read_batch(log, made), rebuilt)
    live = HistoryStore(made.data_dir / "histories", store_config(made))
    assert content(rebuilt) == content(live)
    assert held(live, "user-1")
    assert not held(live, "gone-for-good")
    assert not held(live, "secret-")
    for each in (rebuilt, live):
        each.close()

    capture, figures = tmp_path / "lists.jsonl", tmp_path / "figures.json"
    capture.write_bytes(b"".join(one.value + b"\n" for one in records))
    words = ["replay", "--topic", "--bundle", made.bundle, "--verify", capture, "--json", figures]
    result = segue(*words)
    assert result.exit_code == 0, result.output
    assert json.loads(figures.read_text())["verified"] == {"equal": 335, "different": 0}


def test_a_user_id_that_no_play_can_have_is_refused():
    result = segue("forget", "a\nb", "--yes")
    assert result.exit_code == 1
    assert "control character" in result.output
