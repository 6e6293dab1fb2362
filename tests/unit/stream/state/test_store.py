import lmdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.stream.messages.events import Play
from segue.stream.state.config import HistoryConfig, StoreConfig
from segue.stream.state.history import LogReplaced
from segue.stream.state.store import HistoryStore, StoreError

MINUTE = 60_000
DAY = 86_400_000
SMALL = StoreConfig(
    HistoryConfig(max_songs=6, max_age_ms=DAY, session_gap_ms=30 * MINUTE),
    popularity_half_life_ms=60 * MINUTE,
    popularity_max_songs=4,
    popular_list_length=3,
    recent_plays=12,
)


@pytest.fixture
def store(tmp_path):
    store = HistoryStore(tmp_path / "histories", SMALL)
    yield store
    store.close()


def play(offset, user="u", song="s", minute=None, partition=0):
    minute = offset if minute is None else minute
    return Play(f"{partition}-{offset}", user, song, minute * MINUTE, partition, offset)


def state(store):
    """Everything the store holds, byte for byte."""
    with store._env.begin() as txn:
        return [list(txn.cursor(db=database)) for database in store._databases]


def test_each_play_is_told_with_its_session_and_what_was_popular(store):
    reported = store.append([play(0, song="a"), play(1, song="b"), play(2, "v", "b")])
    assert [one.session for one in reported] == [["a"], ["a", "b"], ["b"]]
    assert [[song for _, song in one.popular_before] for one in reported] == [[], ["a"], ["b", "a"]]
    assert [song for _, song in reported[2].popular] == ["b", "a"]
    assert store.position(0) == 3
    assert store.position(1) is None


def test_partitions_do_not_see_each_other(store):
    store.append([play(0, song="a"), play(0, song="b", partition=1)])
    assert store.history(0, "u").songs == ["a"]
    assert store.history(1, "u").songs == ["b"]
    assert sorted(user for _, user, _ in store.users()) == ["u", "u"]


def test_a_play_delivered_again_changes_nothing_and_gets_the_same_session(store):
    plays = [play(0, song="a"), play(1, song="b"), play(2, song="c")]
    first = store.append(plays)
    before = state(store)
    again = store.append(plays[:2])
    assert state(store) == before
    assert [one.session for one in again] == [one.session for one in first[:2]]
    assert [one.is_new for one in again] == [False, False]


def test_each_play_has_its_moment_and_finds_it_again(store):
    plays = [play(n, song=f"s{n}", minute=60 * (n // 3) + n % 3) for n in range(30)]
    reported = store.append(plays)
    assert [one.snapshot.number for one in reported] == list(range(1, 31))
    again = store.append(plays[18:])
    assert [one.snapshot for one in again] == [one.snapshot for one in reported[18:]]
    recent = again[-1].snapshot.recent
    sessions = [int(recent.ring.sessions[n % recent.capacity]) for n in range(19, 31)]
    assert sessions == [19, 19, 19, 22, 22, 22, 25, 25, 25, 28, 28, 28]
    [long_past] = store.append(plays[3:4])
    assert long_past.snapshot is None


def test_records_that_are_no_plays_move_the_position(store):
    store.append([play(0)], {0: 5, 2: 9})
    assert (store.position(0), store.position(2)) == (5, 9)
    store.append([], {0: 3})
    assert store.position(0) == 5


def test_a_topic_made_anew_is_noticed(store):
    store.append([play(0, song="a"), play(1, song="b")])
    with pytest.raises(LogReplaced):
        store.append([play(0, song="other")])


logs = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from("uvw"),
        st.sampled_from("abcdefghijkl"),
        st.integers(0, 3 * 24 * 60),
    ),
    max_size=40,
)


def plays_of(log):
    ends = [0, 0]
    for partition, user, song, minute in log:
        yield play(ends[partition], user, song, minute, partition)
        ends[partition] += 1


@settings(max_examples=60)
@given(logs, st.data())
def test_batches_repeats_and_reopening_leave_no_trace(tmp_path_factory, log, data):
    plays = list(plays_of(log))
    whole = HistoryStore(tmp_path_factory.mktemp("whole"), SMALL)
    broken = HistoryStore(tmp_path_factory.mktemp("broken"), SMALL)
    expected = whole.append(plays)
    done = 0
    while done < len(plays):
        size = data.draw(st.integers(1, 10))
        repeat = data.draw(st.integers(0, min(done, 3)))
        reported = broken.append(plays[done - repeat : done + size])
        assert reported[repeat:] == expected[done : done + size]
        done += size
        if data.draw(st.booleans()):
            broken.close()
            broken = HistoryStore(broken.path, SMALL)
    assert state(broken) == state(whole)
    whole.close()
    broken.close()


def test_the_map_grows_until_everything_fits(tmp_path):
    config = StoreConfig(map_size=1 << 17, max_map_size=1 << 24)
    store = HistoryStore(tmp_path, config)
    for offset in range(2_000):
        store.append([big_play(offset)])
    assert store.size_bytes() > config.map_size
    assert store.count_users() == 2_000
    store.close()


def big_play(offset):
    return play(offset, user=f"user-{offset}", song="s" * 200)


def fill(store):
    """Append until the store takes no more; give the offset of the play it refused."""
    for offset in range(100_000):
        try:
            store.append([big_play(offset)])
        except StoreError:
            return offset
    raise AssertionError("it never filled")


def test_a_full_store_says_so_and_keeps_what_it_had(tmp_path):
    config = StoreConfig(map_size=1 << 17, max_map_size=1 << 18)
    store = HistoryStore(tmp_path, config)
    offset = fill(store)
    with pytest.raises(StoreError, match="SEGUE_STORE_MAX_SIZE_MB"):
        store.append([big_play(offset)])
    assert store.position(0) == offset == store.count_users()
    store.close()
    reopened = HistoryStore(tmp_path, config)
    assert reopened.position(0) == offset
    assert reopened.history(0, "user-0").offsets == [0]
    reopened.close()


def test_a_map_grown_by_another_process_is_taken_as_it_is(tmp_path):
    config = StoreConfig(map_size=1 << 17)
    store = HistoryStore(tmp_path, config)
    store.append([play(0, user="first")])
    script = (
        "import sys; from pathlib import Path; from segue.stream.state.store import *\n"
        "store = HistoryStore(Path(sys.argv[1]), StoreConfig(map_size=1 << 17))\n"
        "for n in range(1, 1000): store.append([Play('e', f'user-{n}', 's' * 200, n, 1, n)])\n"
    )
    import subprocess
    import sys

    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    store.append([play(1, user="second")])
    assert store.count_users() == 1_001
    store.close()


def test_listeners_gone_for_too_long_are_swept_away(store):
    store.append(
        [play(0, "gone", minute=0), play(1, "here", minute=5), play(2, "new", minute=1442)]
    )
    assert [store.sweep(limit=2), store.sweep(limit=2)] == [1, 0]
    assert sorted(user for _, user, _ in store.users()) == ["here", "new"]
    assert store.sweep(limit=10) == 0


def test_what_is_no_store_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "data.mdb").write_bytes(b"not a database at all" * 1000)
    with pytest.raises(StoreError, match="Move the directory away"):
        HistoryStore(tmp_path)


def test_a_store_of_another_format_is_refused(tmp_path):
    HistoryStore(tmp_path).close()
    with lmdb.open(str(tmp_path), max_dbs=4) as env, env.begin(write=True) as txn:
        txn.put(b"format", b"0")
    with pytest.raises(StoreError, match="format b'0'"):
        HistoryStore(tmp_path)
