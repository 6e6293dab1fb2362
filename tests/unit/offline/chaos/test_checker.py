"""The fault harness's checker: it sees every fault, and none where there is none."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import islice
from types import SimpleNamespace

import pytest

from segue.models.data.catalogue import Catalogue
from segue.models.recommenders.base import RecommenderConfig
from segue.models.reranking.rule_engine import RuleBook
from segue.offline.chaos.checker import AHEAD, Erasures, Invariants, check
from segue.offline.chaos.evidence import (
    TRUTH,
    Evidence,
    LoggedPlay,
    logged_play,
    published_list,
    read_store,
    rejected_record,
)
from segue.offline.chaos.fixtures import catalogue, expected_rules, write_bundles
from segue.offline.chaos.producer import PlaySource
from segue.stream.config.settings import load_settings
from segue.stream.messages.events import encode
from segue.stream.messages.records import Record, read_batch
from segue.stream.serving.factory import load_bundle
from segue.stream.serving.pipeline import handle_batch
from segue.stream.state.config import HistoryConfig, StoreConfig
from segue.stream.state.store import HistoryStore

PARTITIONS = 2
START_MS = 1_700_000_000_000
SOURCE = PlaySource(seed=3, songs=500, listeners=20, start_ms=START_MS, share_forgotten=0.03)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Give the evidence of a run in which nothing went wrong, and its invariants."""
    directory = tmp_path_factory.mktemp("run")
    versions = write_bundles(directory / "bundles")
    book = RuleBook(expected_rules(), Catalogue())
    recommender = load_bundle(directory / "bundles" / "a", RecommenderConfig(10, 1, 100), book=book)
    logged = list(records(400))
    made, rejected = [], []
    store = HistoryStore(
        directory / "histories", StoreConfig(HistoryConfig(max_songs=1000, max_age_ms=10**14))
    )
    settings = load_settings()
    # The last forty come again, as after a kill.
    for first in (0, 100, 200, 300, 360):
        came = [Record("plays", *each) for each, _ in logged[first : first + 100]]
        batch = read_batch(came, settings)
        lists = handle_batch(batch, store, recommender, now_ms=0)[1]
        made += [wire(each.cause.partition, encode(each)) for each in lists]
        rejected += [wire(0, one.value, headers=one.headers()) for one in batch.dead_letters]
    store.close()
    evidence = Evidence(
        sorted((logged_play(record) for _, record in logged), key=lambda play: play.place),
        [published_list(each) for each in made],
        [rejected_record(each) for each in rejected],
        [read_store(directory / "histories", "w")],
    )
    models = frozenset(versions.values())
    return evidence, Invariants(expected_rules(), catalogue(), 10, models)


def wire(partition, value, headers=(), offset=0):
    reported = {"partition": partition, "offset": offset, "value": value, "timestamp": 0}
    return SimpleNamespace(**reported, headers=[*headers])


def records(count):
    """Give what a broker would hold: (partition, offset, time, key, value), and with its header."""
    ends = Counter()
    messages = (made for number in range(count) for made in SOURCE.message(number))
    for made in islice(messages, count):
        partition = sum(made.key) % PARTITIONS
        offset = ends[partition]
        ends[partition] += 1
        place = (partition, offset, START_MS + 10**10, made.key, made.value)
        yield place, wire(partition, made.value, [(TRUTH, made.truth)], offset)


def kinds(evidence, invariants):
    return {*check(evidence, invariants).violations}


def test_a_run_without_a_fault_has_no_violation(run):
    found = check(*run)
    assert found.violations == {}
    assert found.counts["lists that came again"] > 30
    assert found.counts["rejected records"] > 5
    assert found.counts["listeners forgotten"] > 5
    assert found.counts["lists"] > found.counts["plays"] > 350


def test_a_missing_list_is_seen(run):
    evidence, invariants = run
    lists = [made for made in evidence.lists if made.cause != evidence.lists[7].cause]
    assert kinds(replace(evidence, lists=lists), invariants) == {"play without a list"}


def test_a_repeat_that_changed_is_seen(run):
    evidence, invariants = run
    lists = [*evidence.lists[:-1], replace(evidence.lists[-1], content=b"other")]
    assert kinds(replace(evidence, lists=lists), invariants) == {"list changed when it came again"}


def test_lists_of_plays_that_nobody_sent_are_seen(run):
    evidence, invariants = run
    made = evidence.lists[0]
    for change in (
        {"cause": (0, 10**6)},
        {"event_id": "another"},
        {"user_id": "somebody else"},
        {"partition": made.partition + 1},
    ):
        lists = [*evidence.lists, replace(made, **change)]
        assert kinds(replace(evidence, lists=lists), invariants) == {"list without a play"}, change


def test_a_list_of_a_rejected_record_is_seen(run):
    evidence, invariants = run
    bad = next(play for play in evidence.plays if not play.is_good)
    lists = [*evidence.lists, replace(evidence.lists[0], cause=bad.place)]
    assert kinds(replace(evidence, lists=lists), invariants) == {"list without a play"}


@pytest.mark.parametrize(
    "songs",
    [
        ("song-1",),  # blocked
        ("song-5",),  # of a blocked artist
        ("song-9",),  # explicit
        ("song-10", "song-10"),
        ("song-10", "song-11", "song-70"),  # songs of one artist with one between: allowed
        ("song-10", "song-70"),  # side by side
        tuple(f"song-{number}" for number in range(10, 22) if number % 9),
    ],
)
def test_a_list_that_breaks_a_rule_is_seen(run, songs):
    evidence, invariants = run
    lists = [*evidence.lists[:-1], replace(evidence.lists[-1], songs=songs, model="gru-b")]
    invariants = replace(invariants, models=invariants.models | {"gru-b"})
    broken = kinds(replace(evidence, lists=lists), invariants)
    assert broken == (set() if len(songs) == 3 else {"rule broken"})


def test_songs_of_the_session_are_seen(run):
    evidence, invariants = run
    play = next(one for one in evidence.plays if one.is_good and one.song_id == "song-10")
    made = next(one for one in evidence.lists if one.cause == play.place)
    lists = [*evidence.lists, replace(made, songs=("song-10",), model="gru-b")]
    invariants = replace(invariants, models=invariants.models | {"gru-b"})
    found = check(replace(evidence, lists=lists), invariants)
    assert found.examples["rule broken"] == [f"{play.place}: heard: song-10"]


def test_a_reason_from_before_an_erasure_is_seen(run):
    evidence, invariants = run
    for erasure in (one for one in evidence.plays if one.forgets):
        own = [
            one
            for one in evidence.plays
            if one.is_good and (one.partition, one.user_id) == (erasure.partition, erasure.user_id)
        ]
        earlier = {one.song_id for one in own if one.offset < erasure.offset}
        after = next((one for one in own if one.offset > erasure.offset), None)
        if earlier and after and after.song_id not in earlier:
            break
    made = next(one for one in evidence.lists if one.cause == after.place)
    lists = [*evidence.lists, replace(made, reasons=frozenset(earlier))]
    assert kinds(replace(evidence, lists=lists), invariants) == {"reason that is not known"}


def test_what_should_have_been_forgotten_is_seen_in_histories_and_rings(run):
    evidence, invariants = run
    [store] = evidence.stores
    erased = next(each for each, (_, song) in enumerate(store.recent[0]) if not song)
    offset, _ = store.recent[0][erased]
    play = next(one for one in evidence.plays if one.place == (0, offset))
    ring = [*store.recent[0]]
    ring[erased] = offset, play.song_id
    kept = replace(store, recent={**store.recent, 0: ring})
    found = kinds(replace(evidence, stores=[kept]), invariants)
    assert found == {"recent plays are not the log"}

    listener = (0, play.user_id)
    whole = [(offset, play.song_id, play.played_at_ms), *store.histories.get(listener, [])]
    kept = replace(store, histories={**store.histories, listener: whole})
    assert "history is not the log" in kinds(replace(evidence, stores=[kept]), invariants)


@pytest.mark.parametrize("answered", [0, 10, 110, 500])
def test_a_list_may_change_once_an_erasure_after_its_play_may_be_known(answered):
    plays = [LoggedPlay((0, at), True, b"", f"e{at}", "ann", "s") for at in range(2 * AHEAD)]
    place = AHEAD + 100
    plays[place] = LoggedPlay((0, place), False, b"", "f", "bob", forgets=True)
    found = Erasures(plays)
    assert not any(found.may_change(play, answered, by_anybody=False) for play in plays)
    reported = [play.offset for play in plays if found.may_change(play, answered, by_anybody=True)]
    assert reported == ([*range(place)] if answered >= 100 else [])


@pytest.mark.parametrize("known", [False, True])
def test_a_repeat_may_change_only_where_its_listener_may_be_forgotten_by_then(run, known):
    evidence, invariants = run
    ann = [LoggedPlay((0, at), True, b"", f"e{at}", "ann", f"song-{at}") for at in range(6)]
    rest = [
        LoggedPlay((0, 6 + at), True, b"", f"f{at}", "bob", f"song-{at}") for at in range(AHEAD)
    ]
    asked = LoggedPlay((0, 6 + AHEAD), False, b"", "forget", "ann", forgets=True)
    [like, *_] = evidence.lists
    made = [
        replace(like, partition=0, cause=one.place, event_id=one.event_id, user_id=one.user_id)
        for one in [*ann, *rest]
    ]
    made = [replace(one, reasons=frozenset(), songs=()) for one in made]
    again = replace(made[5], content=b"other")
    place = len(made) if known else 6
    lists = [*made[:place], again, *made[place:]]
    evidence = Evidence([*ann, *rest, asked], lists, [], evidence.stores)
    changed = "list changed when it came again" in kinds(evidence, invariants)
    assert changed == (not known)


def test_a_list_of_a_model_that_must_not_serve_is_seen(run):
    evidence, invariants = run
    lists = [*evidence.lists, replace(evidence.lists[0], model="gru-corrupt")]
    assert kinds(replace(evidence, lists=lists), invariants) == {"list of an unknown model"}


def doctored(evidence, change):
    [store] = evidence.stores
    listener, kept = max(store.histories.items(), key=lambda item: len(item[1]))
    histories = {**store.histories, listener: change([*kept])}
    return replace(evidence, stores=[replace(store, histories=histories)])


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        (lambda kept: kept[:3] + kept[4:], "missing"),
        (lambda kept: kept[:4] + kept[3:], "counted twice"),
        (lambda kept: [kept[1], kept[0], *kept[2:]], "in another order"),
        (lambda kept: [(kept[0][0], "other", kept[0][2]), *kept[1:]], "other songs"),
        (lambda kept: [*kept, (10**6, "song-1", 0)], "never played"),
        (lambda kept: [], "missing"),
    ],
)
def test_a_history_that_is_not_the_log_is_seen(run, change, reported):
    evidence, invariants = run
    found = check(doctored(evidence, change), invariants)
    assert {*found.violations} == {"history is not the log"}
    assert reported in found.examples["history is not the log"][0]


def test_a_ring_that_is_not_the_log_is_seen(run):
    evidence, invariants = run
    [store] = evidence.stores
    recent = {**store.recent, 0: store.recent[0][::-1]}
    evidence = replace(evidence, stores=[replace(store, recent=recent)])
    assert kinds(evidence, invariants) == {"recent plays are not the log"}


def test_a_store_that_stopped_early_is_seen(run):
    evidence, invariants = run
    [store] = evidence.stores
    last = max(play.offset for play in evidence.plays if play.partition == 0)
    behind = replace(store, positions={**store.positions, 0: last})
    found = kinds(replace(evidence, stores=[behind]), invariants)
    assert "no store has all of the log" in found
    # What another store has is had.
    assert "no store has all of the log" not in kinds(
        replace(evidence, stores=[behind, store]), invariants
    )


def test_what_is_wrong_with_rejected_records_is_seen(run):
    evidence, invariants = run
    first, *others = evidence.rejected
    good = evidence.lists[0].cause
    for rejected, kind in (
        (others, "bad record not rejected"),
        ([*others, replace(first, raw=b"changed")], "rejected record changed"),
        ([*others, replace(first, reason="")], "rejected without a reason"),
        ([first, *others, replace(first, place=good)], "play rejected"),
    ):
        assert kind in kinds(replace(evidence, rejected=rejected), invariants)


def test_nothing_to_check_is_no_success():
    invariants = Invariants(expected_rules(), {}, 10, frozenset())
    assert kinds(Evidence([], [], [], []), invariants) == {"nothing to check"}
