"""Live and replayed lists are the same, byte by byte: a real broker and a real worker."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from click.testing import Result

from segue.offline.replay.sources import Bound, TopicSource
from segue.stream.kafka.topics import ensure_topics
from segue.stream.messages.events import PlayEvent, encode
from tests.support.brokers import own_settings
from tests.support.cli import segue, share_settings
from tests.support.live import Reader, Worker, answered, causes, lists, produce
from tests.support.toy import numbered, song, write_toy_bundle
from tests.support.toy_hybrid import fit_hybrid, write_hybrid

pytestmark = pytest.mark.broker

PLAYS = 400
START_MS = 1_700_000_000_000


def some_events() -> list[PlayEvent]:
    chance = random.Random(5)
    return [
        PlayEvent(
            f"plays-{number}",
            f"user-{chance.randrange(25)}",
            song(chance.randrange(60)),  # of which the bundle knows 50
            START_MS + number * 90_000,
        )
        for number in range(PLAYS)
    ]


def write_log(events: list[PlayEvent], file: Path) -> Path:
    rows = [f"{one.user_id},{one.song_id},{one.played_at // 1000}" for one in events]
    file.write_text("\n".join(["user_id,song_id,played_at", *rows]) + "\n")
    return file


class Live:
    """A live run: its settings, the plays that were sent, and what its worker published."""

    def __init__(self, settings, log: Path, capture: Path, records: list) -> None:
        self.settings = settings
        self.log = log
        self.capture = capture
        self.records = records


def run_live(broker, directory: Path, bundle: Path) -> Live:
    """Send the plays to a real worker that serves a bundle, and keep what it publishes."""
    settings = own_settings(
        broker, data_dir=directory / "data", bundle=bundle, batch_max=20, list_length=8
    )
    ensure_topics(settings)
    events = some_events()
    worker = Worker(settings, directory / "worker.log")
    reader = Reader(settings, settings.topic_recommendations)
    with worker.running():
        places = produce(settings, [(one.user_id, encode(one)) for one in events])
        records = reader.read_until(answered(places))
        worker.stop()
    reader.close()
    capture = directory / "lists.jsonl"
    capture.write_bytes(b"".join(record.value + b"\n" for record in records))
    return Live(settings, write_log(events, directory / "plays.csv"), capture, records)


@pytest.fixture(scope="module")
def live(broker, tmp_path_factory) -> Live:
    directory = tmp_path_factory.mktemp("live")
    write_toy_bundle(directory / "bundle", songs=50)
    return run_live(broker, directory, directory / "bundle")


@pytest.fixture(scope="module")
def live_hybrid(broker, tmp_path_factory) -> Live:
    """Return a live run of a hybrid, to which 10 of the songs are new."""
    directory = tmp_path_factory.mktemp("live-hybrid")
    chance = random.Random(7)
    log, songs = numbered([[song(chance.randrange(50)) for _ in range(6)] for _ in range(150)])
    write_hybrid(directory / "bundle", fit_hybrid(log, songs, epochs=1), log)
    return run_live(broker, directory, directory / "bundle")


def replayed(live: Live, monkeypatch, words) -> Result:
    """Run `segue replay` under a live run's settings."""
    share_settings(monkeypatch, live.settings, "list_length")
    bundle = ("--bundle", live.settings.bundle)
    return segue("replay", *map(str, (*bundle, *words)))


@pytest.fixture
def replay(live, monkeypatch):
    """Return `segue replay` under the live run's settings."""
    return lambda *words: replayed(live, monkeypatch, words)


def test_a_hybrid_that_learns_from_the_stream_makes_the_same_lists(live_hybrid, monkeypatch):
    sources = {
        name for made in lists(live_hybrid.records) for one in made.items for name in one.sources
    }
    assert {"live", "gru"} <= sources
    unknown = {song(number) for number in range(50, 60)}
    listed = {one.song_id for made in lists(live_hybrid.records) for one in made.items}
    assert listed & unknown, "no new song was recommended, so that little was proven"
    words = ("--plays", live_hybrid.log, "--verify", live_hybrid.capture)
    result = replayed(live_hybrid, monkeypatch, words)
    assert result.exit_code == 0, result.output
    assert f"{PLAYS} lists are equal byte by byte, 0 are not" in result.output


def test_lists_of_a_log_are_those_that_the_worker_published(live, replay):
    result = replay("--plays", live.log, "--verify", live.capture)
    assert result.exit_code == 0, result.output
    assert f"{PLAYS} lists are equal byte by byte, 0 are not" in result.output


def test_lists_of_the_topic_are_those_that_the_worker_published(live, replay, tmp_path):
    figures = tmp_path / "figures.json"
    result = replay("--topic", "--verify", live.capture, "--json", figures)
    assert result.exit_code == 0, result.output
    assert json.loads(figures.read_text())["verified"] == {"equal": PLAYS, "different": 0}


def test_of_a_range_only_its_own_lists_are_compared(live, replay):
    result = replay("--topic", "--from", "0:20", "--to", "0:40", "--verify", live.capture)
    assert result.exit_code == 0, result.output
    others = sum(made.cause.partition != 0 for made in lists(live.records))
    assert f"{others + 20} lists are equal byte by byte, 0 are not" in result.output


def test_one_song_changed_is_found_and_shown(live, replay, tmp_path):
    changed = tmp_path / "lists.jsonl"
    lines = live.capture.read_bytes().splitlines(keepends=True)
    at = next(n for n, made in enumerate(lists(live.records)) if made.cause.offset == 9)
    made = lists(live.records)[at]
    wrong = made.items[2].song_id
    lines[at] = lines[at].replace(f'"song_id":"{wrong}"'.encode(), b'"song_id":"another"', 1)
    changed.write_bytes(b"".join(lines))
    result = replay("--plays", live.log, "--verify", changed)
    assert result.exit_code == 1
    assert f"{PLAYS - 1} lists are equal byte by byte, 1 are not" in result.output
    assert f"partition {made.cause.partition}, offset 9" in result.output
    assert f"listener {made.user_id}, event {made.cause.event_id}" in result.output
    assert "another" in result.output
    assert "Traceback" not in result.output


def test_lists_of_several_models_are_told_apart(live, replay, tmp_path):
    swapped = tmp_path / "lists.jsonl"
    lines = live.capture.read_bytes().splitlines(keepends=True)
    version = lists(live.records)[0].model
    lines[0] = lines[0].replace(version.encode(), b"gru-0123456789ab")
    swapped.write_bytes(b"".join(lines))
    result = replay("--plays", live.log, "--verify", swapped)
    assert result.exit_code == 1
    assert f"{PLAYS - 1} lists are equal byte by byte, 1 are not" in result.output
    assert f"of 2 models, swapped meanwhile (gru-0123456789ab, {version})" in result.output


def test_a_list_that_is_missing_is_found(live, replay, tmp_path):
    lines = live.capture.read_bytes().splitlines(keepends=True)
    at = next(n for n, made in enumerate(lists(live.records)) if made.cause.offset == 9)
    fewer = tmp_path / "lists.jsonl"
    fewer.write_bytes(b"".join(lines[:at] + lines[at + 1 :]))
    result = replay("--plays", live.log, "--verify", fewer)
    assert result.exit_code == 1
    assert "captured nothing, replayed 8 songs" in result.output


def test_another_setting_is_another_list(live, replay):
    result = replay("--plays", live.log, "--verify", live.capture, "--set", "no_repeat_songs=0")
    assert result.exit_code == 1
    assert "The first difference, at partition" in result.output


def test_a_capture_that_holds_no_lists_is_refused(live, replay, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text('{"event_id": 3}\n')
    result = replay("--plays", live.log, "--verify", other)
    assert result.exit_code == 1
    assert "other.jsonl:1: no recommendation list" in result.output


def test_a_range_is_published_anew_to_a_topic_of_its_own(live, replay):
    topic = f"{live.settings.topic_recommendations}-backfill"
    since = "2023-11-14T23:00:00Z"  # the records were sent later, so nothing is left out
    result = replay("--topic", "--from", since, "--to", "0:40", "--publish-to", topic)
    assert result.exit_code == 0, result.output
    reader = Reader(live.settings, topic)
    published = {record.value: record for record in reader.drain()}
    reader.close()
    places = causes(published.values())
    wanted = {place for place in causes(live.records) if place[0] != 0 or place[1] < 40}
    assert places == wanted
    assert {(r.partition, r.key) for r in published.values()} <= {
        (made.cause.partition, made.user_id.encode()) for made in lists(live.records)
    }
    same = {(m.cause.partition, m.cause.offset): m.items for m in lists(live.records)}
    for made in lists(published.values()):
        assert made.items == same[made.cause.partition, made.cause.offset]
        number = int(made.cause.event_id.removeprefix("plays-"))
        assert made.generated_at.startswith("2023-11-")
        assert number < PLAYS


def test_the_topics_that_the_system_lives_by_are_left_alone(live, replay):
    result = replay("--topic", "--publish-to", live.settings.topic_recommendations)
    assert result.exit_code == 1
    assert "the running system lives by it" in result.output


def test_a_range_by_time_begins_at_the_first_record_of_that_time(live):
    source = TopicSource.open(live.settings)
    records = list(source.records(0, *source.span(0, Bound(), Bound())))
    middle = records[len(records) // 2].timestamp_ms
    first, end = source.span(0, Bound(time_ms=middle), Bound(time_ms=middle + 10**9))
    assert end == len(records)
    assert records[first].timestamp_ms >= middle
    assert all(record.timestamp_ms < middle for record in records[:first])
