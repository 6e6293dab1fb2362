"""`segue refresh` beside a worker, on a real broker: a new song finds its listeners."""

from __future__ import annotations

import json
import time
from itertools import chain

import pytest

from segue.models.bundles.bundle import read_bundle
from segue.models.data.vocabulary import Vocabulary
from segue.stream.kafka.topics import ensure_topics
from segue.stream.messages.events import PlayEvent
from segue.stream.runtime.processes import ChildProcess, free_port
from segue.stream.serving.model_registry import (
    ModelVersion,
    promote,
    publish_active_model,
    read_model_registry,
)
from tests.support.brokers import own_settings
from tests.support.live import (
    SEGUE,
    Reader,
    Worker,
    answered,
    children_of,
    environment,
    lists,
    probe,
    produce_events,
)
from tests.support.toy import number_sessions, paired_sessions, song
from tests.support.toy_hybrid import fit_hybrid, write_hybrid
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.broker

PAIRS = 30
START_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
NEW = "released-midway"


class Refresh(ChildProcess):
    """`segue refresh`, running from the start."""

    def __init__(self, settings, log_file, every_plays, *words):
        self.port = free_port()
        words = [*words, "--every-plays", str(every_plays), "--metrics-port", str(self.port)]
        super().__init__(
            [*SEGUE, "refresh", *words],
            log_file=log_file,
            environment=environment(settings),
            grace_s=PATIENCE_S,
        )
        self.start()

    def __enter__(self):
        return self


@pytest.fixture
def settings(broker, tmp_path):
    """Return settings whose bundle root holds a hybrid that is active."""
    root = tmp_path / "bundles"
    songs = Vocabulary()
    log = number_sessions(paired_sessions(PAIRS, 300, seed=1), songs)
    version = write_hybrid(root / "hybrid" / "first", fit_hybrid(log, songs, epochs=2), log).version
    made = own_settings(broker, data_dir=tmp_path / "data", bundle_root=root, list_length=10)
    ensure_topics(made)
    publish_active_model(made, promote(ModelVersion(version, "hybrid/first"), None))
    return made


def events_of(sessions, first=0, hour=0):
    """Make events of sessions side by side, each of a listener of its own, within an hour."""
    return [
        PlayEvent(
            f"e{first + number}-{place}",
            f"user-{first + number}",
            song_id,
            START_MS + hour * HOUR_MS + number * 1_000 + place * 100,
        )
        for number, session in enumerate(sessions)
        for place, song_id in enumerate(session)
    ]


def with_new_song(count):
    """Return sessions in which the new song follows song 4, among others."""
    return [[song(4), NEW, song(5)] if n % 2 else [song(8), song(9)] for n in range(count)]


def wait_for_refresh(settings, refresh, before, timeout_s=PATIENCE_S):
    """Wait until another bundle is announced. refresh: who makes it, with a process and a log."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        assert refresh.process.poll() is None, refresh.log_file.read_text()[-2000:]
        reported = read_model_registry(settings).active
        if reported.version != before:
            return reported
        time.sleep(0.5)
    raise AssertionError(refresh.log_file.read_text()[-3000:])


def test_a_song_released_midway_is_recommended(settings, tmp_path):
    before = read_model_registry(settings).active
    reader = Reader(settings, settings.topic_recommendations)
    worker = Worker(settings, tmp_path / "worker.log", "--refresh-every", "300")
    with worker.running():
        places = produce_events(settings, events_of(with_new_song(120)))
        reader.read_until(answered(places))
        # The next day's plays end those sessions, and are enough for a refresh.
        places += produce_events(settings, events_of(with_new_song(30), 1000, hour=24))
        reported = wait_for_refresh(settings, worker, before.version)
        assert reported.previous[0] == before.current
        made = []
        for number in range(60):
            asked = events_of([[song(20), song(21), song(4)]], 2000 + number, hour=25)
            places += produce_events(settings, asked)
            made = lists(reader.read_until(answered(places)))
            if made[-1].model == reported.version:
                break
            time.sleep(0.5)
        assert made[-1].model == reported.version, worker.log()[-2000:]
        assert NEW in [one.song_id for one in made[-1].items]
        worker.stop()
    assert children_of(settings.bundle_root) == [], "the refresh process ends with the worker"
    reader.close()
    assert len({(one.cause.partition, one.cause.offset) for one in made}) == len(places)
    training = read_bundle(
        settings.bundle_root / reported.location, kind="hybrid"
    ).manifest.training
    assert training["refreshes"] == 1
    assert training["refreshed_from"] == before.version


def learned_songs(settings, reported, before):
    """Return the songs that a refreshed hybrid remembers beside those it began with, sorted."""
    weights = [
        read_bundle(settings.bundle_root / each.location, kind="hybrid")
        for each in (reported, before)
    ]
    songs = weights[0].vocabulary.songs(weights[0].weights["memory.songs"].tolist())
    return sorted(songs[len(weights[1].weights["memory.songs"]) :])


def test_kill_9_learns_no_session_twice_and_leaves_none_out(settings, tmp_path):
    """Neither where the same process goes on, nor where one on another machine takes over."""
    before = read_model_registry(settings).active
    settings = settings.model_copy(update={"log_format": "json"})
    elsewhere = settings.model_copy(update={"data_dir": tmp_path / "elsewhere"})
    log_file, words = tmp_path / "refresh.log", ["--validation-fraction", "0"]
    first, second = with_new_song(60), with_new_song(40)
    produce_events(settings, events_of(first))
    produce_events(settings, events_of(second, 1000, hour=24))
    with Refresh(settings, log_file, 10**9, *words) as refresh:
        time.sleep(5)
        refresh.kill()
    with (
        Refresh(settings, log_file, 1, *words) as one,
        Refresh(elsewhere, tmp_path / "elsewhere.log", 1, *words) as other,
    ):
        reported = wait_for_refresh(settings, one, before.version)
        assert learned_songs(settings, reported, before) == sorted(chain(*first))
        made_it = [each for each in (one, other) if reported.version in each.log_file.read_text()]
        assert len(made_it) == 1
        made_it[0].kill()  # perhaps before it wrote down what it had learned
        produce_events(settings, events_of([[song(0)]] * 8, 6000, hour=48))
        left = other if made_it[0] is one else one
        reported = wait_for_refresh(settings, left, reported.version)
        assert reported.version in left.log_file.read_text()
        assert probe(left.port, "/livez")[0] == 200
        status, body = probe(left.port, "/readyz")
        assert status == 200, body
        left.stop()
    assert all(json.loads(line) for line in left.log_file.read_text().splitlines())
    assert learned_songs(settings, reported, before) == sorted(chain(*first, *second))
