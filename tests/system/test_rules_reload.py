"""Rules in a worker of its own: its file changes while it runs, and songs come by their topic."""

from __future__ import annotations

import json
import time

import pytest

from segue.models.data.catalogue import SongDetails
from segue.offline.operations.catalogue import send_songs
from segue.stream.kafka.topics import ensure_topics
from segue.stream.messages.songs import encode_song, read_songs
from tests.support.brokers import own_settings
from tests.support.cli import segue, share_settings
from tests.support.live import Reader, Worker, answered, event, lists, produce_events
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.broker


@pytest.fixture
def live(broker, tmp_path):
    rules = tmp_path / "rules.toml"
    rules.write_text("heard.plays = 0\nsongs.block = ['b']")
    settings = own_settings(
        broker, data_dir=tmp_path / "data", rules_file=rules, topic_partitions=1
    )
    ensure_topics(settings)
    return settings


class Plays:
    """Sends plays of one song each and gives what is recommended to a listener after them."""

    def __init__(self, settings):
        self.settings = settings
        self.reader = Reader(settings, settings.topic_recommendations)
        self.sent = 0

    def of(self, *songs):
        events = [event(self.sent + n, f"user-{n}", song) for n, song in enumerate(songs)]
        self.sent += len(events)
        places = produce_events(self.settings, events)
        made = lists(self.reader.read_until(answered(places)))
        return {each.song_id for each in made[-1].items}

    def until(self, wanted, timeout_s=PATIENCE_S):
        """Play on until lists are as wanted; give the seconds that it took."""
        began = time.monotonic()
        while (found := self.of("a")) != wanted:
            assert time.monotonic() - began < timeout_s, f"{found}, not {wanted}"
        return time.monotonic() - began


def test_rules_and_songs_reach_a_running_worker(live, tmp_path):
    send_songs(live, {"c": SongDetails(artist="Can")}, lambda songs: None)
    with Worker(live, tmp_path / "worker.log").running() as worker:
        plays = Plays(live)
        assert plays.of("a", "b", "c", "d") == {"a", "c", "d"}
        # The catalogue was read at the start, and is followed.
        live.rules_file.write_text("heard.plays = 0\nartists.block = ['can']")
        plays.until({"a", "b", "d"})
        send_songs(live, {"d": SongDetails(artist="CAN")}, lambda songs: None)
        plays.until({"a", "b"})
        live.rules_file.write_text("heard.plays = 0\nartist.block = ['can']")
        assert plays.of("a") == {"a", "b"}
        live.rules_file.write_text("heard.plays = 0")
        plays.until({"a", "b", "c", "d"})
        assert "The last good rules stay in force" in worker.log()
        assert "did you mean 'artists'?" in worker.log()
        worker.stop()
        plays.reader.close()


def test_songs_are_sent_and_written_by_the_command(live, tmp_path, monkeypatch):
    share_settings(monkeypatch, live)
    values, out = tmp_path / "songs.jsonl", tmp_path / "out.jsonl"
    values.write_bytes(encode_song("a", SongDetails("A", explicit=True)) + b"\n")
    sent = segue("songs", "--values", values)
    assert sent.exit_code == 0, sent.output
    reader = Reader(live.model_copy(update={"topic_partitions": 1}), live.topic_songs)
    [record] = reader.read_until(bool)
    assert (record.key, json.loads(record.value)) == (
        b"a",
        {"song_id": "a", "title": "A", "explicit": True},
    )
    reader.close()
    log = tmp_path / "plays.csv"
    log.write_text("user_id,song_id,played_at,artist\nu,x,1,Can\n")
    written = segue("songs", "--plays", log, "--out", out)
    assert written.exit_code == 0, written.output
    assert read_songs(out) == {"x": SongDetails(artist="Can")}


def test_songs_of_nowhere_and_of_two_places_are_refused(tmp_path):
    for arguments in ([], ["--world", "1", "--values", __file__]):
        refused = segue("songs", *arguments)
        assert refused.exit_code == 2
        assert "give one of" in refused.output
