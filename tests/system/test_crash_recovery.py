"""What breaks, and what must hold all the same: real workers and a real broker."""

import random
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segue.stream.kafka.embedded_broker import EmbeddedBroker
from segue.stream.kafka.topics import ensure_topics
from segue.stream.messages.events import DecodeError, decode_play, encode
from tests.support.brokers import own_settings
from tests.support.live import (
    Reader,
    Worker,
    answered,
    causes,
    event,
    expected_histories,
    histories,
    lists,
    produce,
    produce_events,
)
from tests.support.toy import write_toy_bundle
from tests.support.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.broker


def some_events(count, users=40, songs=50, seed=0):
    chance = random.Random(seed)
    return [
        event(number, f"user-{chance.randrange(users)}", f"song-{chance.randrange(songs)}")
        for number in range(count)
    ]


@pytest.fixture
def live_settings(broker, tmp_path):
    # Small batches make a worker slow enough to be caught in the middle.
    bundle = tmp_path / "bundle"
    write_toy_bundle(bundle, songs=50)
    made = own_settings(
        broker,
        data_dir=tmp_path / "data",
        bundle=bundle,
        batch_max=10,
        history_max_songs=10_000,
        list_length=10,
        no_repeat_songs=3,
    )
    ensure_topics(made)
    return made


def test_kill_9_in_mid_stream_loses_no_play_and_counts_none_twice(live_settings, tmp_path):
    events = some_events(4_000)
    places = produce_events(live_settings, events)
    reader = Reader(live_settings, live_settings.topic_recommendations)
    for fraction in (0.1, 0.4):
        worker = Worker(live_settings, tmp_path / "worker.log")
        with worker.running():
            wanted = int(fraction * len(events))
            reader.read_until(lambda records, wanted=wanted: len(causes(records)) >= wanted)
            worker.kill()
        assert len(causes(reader.drain())) < len(events), "killed too late to prove anything"
    worker = Worker(live_settings, tmp_path / "worker.log")
    with worker.running():
        records = reader.read_until(answered(places))
        worker.stop()
    reader.close()
    assert histories(live_settings) == expected_histories(events, places)
    assert_repeats_are_alike(records)


def assert_repeats_are_alike(records):
    """A list that came again after a kill is the first one, but for the time it was made."""
    first = {}
    for made in lists(records):
        same = first.setdefault((made.cause.partition, made.cause.offset), made)
        assert (same.user_id, same.cause, same.items) == (made.user_id, made.cause, made.items)
    assert len(first) < len(records), "no list came twice, so that nothing was proven"


def test_the_other_worker_takes_over_with_rebuilt_histories(live_settings, tmp_path):
    first, second = (
        live_settings.model_copy(update={"data_dir": tmp_path / name}) for name in ("a", "b")
    )
    early, late = some_events(2_000, seed=1), some_events(2_000, seed=2)
    early_places = produce_events(live_settings, early)
    reader = Reader(live_settings, live_settings.topic_recommendations)
    killed = Worker(first, tmp_path / "killed.log")
    with killed.running():
        reader.read_until(answered(early_places))
        survivor = Worker(second, tmp_path / "survivor.log")  # it has seen no play so far
        with survivor.running():
            # Both must own partitions, or a kill takes nothing away.
            wait_until(lambda: shares(killed) and shares(survivor))
            killed.kill()
            late_places = produce_events(live_settings, late)
            reader.read_until(answered(late_places))
            survivor.stop()
    reader.close()
    whole = expected_histories(early + late, early_places + late_places)
    assert histories(second) == whole
    assert "Rebuilding partition" in survivor.log()


def shares(worker):
    """Return whether the last assignment gave the worker a part, but not all partitions."""
    assigned = re.findall(r"Assigned partitions \[(.*)\]", worker.log())
    return bool(assigned) and 0 < len(assigned[-1].split(",")) < 4


def test_a_broker_that_comes_back_empty_ends_in_service_or_in_a_clear_error(tmp_path):
    """The embedded broker loses its data, so the topic that returns is another one."""
    with EmbeddedBroker() as broker:
        made = own_settings(broker.bootstrap, data_dir=tmp_path / "data", stall_timeout_s=10)
        ensure_topics(made)
        worker = Worker(made, tmp_path / "worker.log")
        with worker.running():
            places = produce_events(made, some_events(200))
            reader = Reader(made, made.topic_recommendations)
            reader.read_until(answered(places))
            reader.close()
            broker.restart()
            ensure_topics(made)
            produce_events(made, some_events(200, seed=3))
            status = worker.process.wait(PATIENCE_S)  # never hangs
        assert status != 0
        assert "was made anew" in worker.log() or "No sign of life" in worker.log()


def test_a_broker_that_stays_away_ends_the_worker_with_a_clear_error(tmp_path):
    with EmbeddedBroker() as broker:
        made = own_settings(broker.bootstrap, data_dir=tmp_path / "data", stall_timeout_s=8)
        ensure_topics(made)
        worker = Worker(made, tmp_path / "worker.log")
        with worker.running():
            places = produce_events(made, some_events(50))
            reader = Reader(made, made.topic_recommendations)
            reader.read_until(answered(places))
            reader.close()
            broker.kill()
            assert worker.process.wait(PATIENCE_S) == 70
        assert re.search("No sign of life from .*the broker for", worker.log())


def test_no_broker_at_the_start_is_one_clear_line(tmp_path):
    made = own_settings("127.0.0.1:1", data_dir=tmp_path / "data")
    worker = Worker(made, tmp_path / "worker.log")
    with worker.running():
        assert worker.process.wait(PATIENCE_S) == 1
    assert "127.0.0.1:1" in worker.log()
    assert "Traceback" not in worker.log()


def test_thousands_of_malformed_events_are_each_rejected_and_the_good_served(
    live_settings, tmp_path
):
    garbage = malformed_events(3_000)
    good = some_events(1_000)
    messages = [(one.user_id, encode(one)) for one in good]
    messages += [(f"user-{number % 40}", value) for number, value in enumerate(garbage)]
    random.Random(0).shuffle(messages)
    places = produce(live_settings, messages)
    bad = {place: value for place, (_, value) in zip(places, messages, strict=True)}
    good_places = [place for place in places if is_play(bad[place])]
    for place in good_places:
        del bad[place]
    assert len(bad) == len(garbage)
    worker = Worker(live_settings, tmp_path / "worker.log")
    with worker.running():
        served = Reader(live_settings, live_settings.topic_recommendations)
        served.read_until(answered(good_places))
        rejected = Reader(live_settings, live_settings.topic_rejected)
        records = rejected.read_until(lambda records: len(records) >= len(bad))
        worker.stop()
    received = {}
    for record in records:
        headers = {name: value.decode() for name, value in record.headers}
        assert headers["topic"] == live_settings.topic_plays
        assert headers["reason"]
        received[int(headers["partition"]), int(headers["offset"])] = record.value
    assert received == bad
    assert causes(served.records) == set(good_places)
    served.close()
    rejected.close()


def is_play(raw):
    try:
        decode_play(
            raw,
            partition=0,
            offset=0,
            timestamp_ms=0,
            max_bytes=65_536,
            future_tolerance_ms=0,
        )
    except DecodeError:
        return False
    return True


def malformed_events(count):
    """Draw byte strings that are no plays: noise, wrong JSON, and good plays spoilt."""
    found = []
    good = encode(event(0, "user", "song"))
    spoilt = st.builds(
        lambda at, noise: good[:at] + noise + good[at + 1 :],
        st.integers(0, len(good) - 1),
        st.binary(max_size=3),
    )
    keys = st.sampled_from(["event_id", "user_id", "song_id", "played_at"])
    values = st.none() | st.integers() | st.floats() | st.text(max_size=5)
    wrong = st.dictionaries(keys, values).map(lambda made: repr(made).encode("utf-8", "replace"))

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(st.lists(st.one_of(st.binary(min_size=1), spoilt, wrong), min_size=5, max_size=20))
    def draw(values):
        found.extend(value for value in values if value and not is_play(value))

    draw()
    assert len(found) >= count
    return found[:count]


def test_a_full_store_stops_the_worker_and_more_room_lets_it_go_on(live_settings, tmp_path):
    small = live_settings.model_copy(update={"store_size_mb": 1, "store_max_size_mb": 1})
    events = [event(number, f"user-{number:05}", "song" * 50) for number in range(8_000)]
    places = produce_events(small, events)
    worker = Worker(small, tmp_path / "worker.log")
    with worker.running():
        assert worker.process.wait(PATIENCE_S) != 0
    assert "SEGUE_STORE_MAX_SIZE_MB" in worker.log()
    assert worker.log().splitlines()[-1].startswith("Error: the histories in"), worker.log()[-2000:]
    kept = histories(small)
    whole = expected_histories(events, places)
    assert 0 < len(kept) < len(whole)
    assert kept.items() <= whole.items()
    roomy = small.model_copy(update={"store_max_size_mb": 64})
    worker = Worker(roomy, tmp_path / "worker.log")
    with worker.running():
        reader = Reader(roomy, roomy.topic_recommendations)
        reader.read_until(answered(places))
        reader.close()
        worker.stop()
    assert histories(roomy) == whole
