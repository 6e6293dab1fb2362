"""The parts of the live page that need no broker: search, figures, the map, listeners."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import generate_latest

from segue.models.data.catalogue import SongDetails
from segue.models.data.recommendation import RecommendedSong
from segue.offline.ui.listeners import MAX_LISTENERS, Listener, Listeners
from segue.offline.ui.live_metrics import MetricsWindow, parse_counters, quantile_ms
from segue.offline.ui.process import UiConfig, UiError, load_songs, serve
from segue.offline.ui.song_coordinates import load_coordinates
from segue.offline.ui.song_search import SongSearch
from segue.stream.config.settings import load_settings
from segue.stream.messages.events import Cause, RecommendationList
from segue.stream.observability.metrics import Metrics
from segue.stream.online_eval.prequential import PlayEvaluation
from tests.support.cli import segue
from tests.support.toy import song, write_toy_bundle


def book() -> SongSearch:
    details = {
        "a": SongDetails("So What", "Miles Davis"),
        "b": SongDetails("Blue in Green", "Miles Davis"),
        "c": SongDetails("Jóga", "Björk"),
    }
    return SongSearch(["b", "nameless", "a"], details)


def test_a_search_needs_every_word_and_neither_case_nor_accents():
    assert book().search("miles", 9) == ["b", "a"]
    assert book().search("DAVIS so", 9) == ["a"]
    assert book().search("bjork joga", 9) == ["c"]
    assert book().search("nameless", 9) == ["nameless"]
    assert book().search("miles", 1) == ["b"]
    assert book().search("miles bjork", 9) == []
    assert book().search("  ", 9) == []


def test_the_last_word_on_a_song_is_what_is_found():
    songs = book()
    assert songs.search("what", 9) == ["a"]
    songs.update("a", SongDetails("So Why\nNot", "Somebody"))
    songs.update("b", None)
    songs.update("d", SongDetails("What Else"))
    assert songs.search("what", 9) == ["d"]
    assert songs.search("not why", 9) == ["a"]
    assert songs.search("green", 9) == []
    assert "b" not in songs
    assert len(songs) == 4
    assert songs.first(2) == ["nameless", "a"]
    assert songs.name("nameless") == ("nameless", "")


def test_songs_of_a_bundle_come_most_played_first_and_a_log_names_them_anew(tmp_path):
    write_toy_bundle(tmp_path / "gru", songs=6, titles={song(5): ("Of the bundle", "")})
    plays = tmp_path / "plays.csv"
    plays.write_text(
        f"user_id,song_id,played_at,title,artist\nu,{song(5)},1700000000,Of the log,Somebody\n"
    )
    config = UiConfig(load_settings(), plays_file=plays)
    songs, version = load_songs(config, tmp_path / "gru")
    assert version is not None
    assert version.startswith("gru-")
    assert songs.first(3) == [song(5), song(4), song(3)]
    assert songs.name(song(5)) == ("Of the log", "Somebody")
    alone, version = load_songs(config, None)
    assert (len(alone), version) == (1, None)


def metrics_page(hits: int, judged: int, latencies_s: list[float]) -> str:
    """Write what a worker tells after these judgements and lists."""
    metrics = Metrics()
    metrics.plays.inc(10 * judged)
    metrics.judge(
        PlayEvaluation(1 if n < hits else None, 20 if n == 0 else 21) for n in range(judged)
    )
    for seconds in latencies_s:
        metrics.latency_seconds.observe(seconds)
    return generate_latest(metrics.registry).decode()


def test_figures_are_what_was_counted_within_the_window():
    window = MetricsWindow(window_s=60)
    window.add(parse_counters(100.0, 990, [metrics_page(2, 4, [0.004])]))
    assert window.metrics().hit_rate is None
    window.add(parse_counters(110.0, 1_030, [metrics_page(5, 10, [0.004] + [0.012] * 4)]))
    reported = window.metrics()
    assert (reported.plays_per_s, reported.lists_per_s) == (6.0, 4.0)
    assert (reported.hit_rate, reported.judged, reported.workers) == (0.5, 6, 1)
    assert reported.popular_hit_rate == 0.0
    assert reported.latency_p50_ms == pytest.approx(12.5)
    window.add(parse_counters(165.0, 1_085, [metrics_page(5, 10, [0.004] + [0.012] * 4)]))
    assert window.metrics().lists_per_s == 1.0
    assert window.metrics().plays_per_s == 0.0
    assert window.metrics().hit_rate is None


def test_a_worker_that_begins_anew_or_goes_begins_a_new_window():
    window = MetricsWindow()
    window.add(parse_counters(1.0, 0, [metrics_page(3, 5, [])]))
    window.add(parse_counters(2.0, 9, [metrics_page(0, 1, [])]))
    assert window.metrics().hit_rate is None
    window.add(parse_counters(3.0, 9, [metrics_page(1, 2, [])]))
    assert window.metrics().hit_rate == 1.0
    window.add(parse_counters(4.0, 9, []))
    assert (window.metrics().workers, window.metrics().judged) == (0, 0)
    assert window.metrics().plays_per_s is None


def test_quantiles_worked_by_hand():
    buckets = {0.01: 2.0, 0.1: 4.0, math.inf: 5.0}
    assert quantile_ms(buckets, 0.2) == pytest.approx(5.0)
    assert quantile_ms(buckets, 0.6) == pytest.approx(55.0)
    assert quantile_ms(buckets, 1.0) == pytest.approx(100.0)  # no more is known of it
    assert quantile_ms({}, 0.5) is None


def test_the_map_is_laid_out_once_and_has_a_place_for_songs_that_are_not_on_it(tmp_path):
    write_toy_bundle(tmp_path / "gru", songs=30)
    first = load_coordinates(tmp_path / "gru", tmp_path / "kept", songs=20)
    assert first.layout.song_ids == [song(n) for n in range(29, 9, -1)]
    assert first.of(song(29)) == tuple(first.layout.points[0])
    elsewhere = first.of(song(0))
    assert elsewhere is not None
    assert np.abs(elsewhere).max() <= 1
    assert first.of("unknown") is None
    [kept] = (tmp_path / "kept").iterdir()
    moved = kept.read_text().replace(str(first.layout.points[0][0]), "0.125", 1)
    kept.write_text(moved)
    assert (
        load_coordinates(tmp_path / "gru", tmp_path / "kept", songs=20).layout.points[0][0] == 0.125
    )
    kept.write_text(moved[:50])  # as a full disk leaves it
    again = load_coordinates(tmp_path / "gru", tmp_path / "kept", songs=20)
    assert again.layout == first.layout


def answer(event_id: str, *songs: str) -> RecommendationList:
    items = [RecommendedSong(each, 1.0, ["gru"], []) for each in songs]
    return RecommendationList("u", Cause(event_id, 0, 0), "", "gru-0", items)


def test_a_listener_takes_each_list_once_and_none_that_is_older():
    listener = Listener()
    first = listener.add_play("a", False, 10.0)
    second = listener.add_play("b", False, 11.0)
    assert listener.waiting_s(12.0) == 1.0
    assert listener.receive(answer(second.event_id, "c", "d"), 11.5)
    assert listener.response is not None
    assert listener.response.latency_ms == 500
    assert not listener.receive(answer(first.event_id, "e"), 11.6)
    assert not listener.receive(answer(second.event_id, "c", "d"), 11.7)
    assert not listener.receive(answer("somebody-else-9", "c"), 11.7)
    assert listener.waiting_s(99.0) == 0.0
    third = listener.add_play("d", True, 13.0)
    assert third.rank == 2
    assert listener.receive(answer(third.event_id, "d"), 13.1)
    assert listener.response.previous_ranks == {"c": 1, "d": 2}


def test_a_play_that_was_not_sent_is_taken_back():
    listener = Listener()
    listener.remove_play(listener.add_play("a", False, 1.0))
    assert list(listener.plays) == []


def test_listeners_are_no_more_than_fit():
    listeners = Listeners()
    oldest = listeners.create()
    gone = listeners.find(oldest)
    assert gone is not None
    second = listeners.create()
    for _ in range(MAX_LISTENERS - 2):
        listeners.create()
    assert listeners.find(oldest) is gone  # now the second is the one that was away longest
    listeners.create()
    assert listeners.find(second) is None
    assert listeners.find(oldest) is gone
    assert listeners.find_user(gone.user_id) is gone
    assert listeners.find(None) is None


def test_an_address_that_cannot_be_had_is_named(tmp_path: Path):
    settings = load_settings(kafka_bootstrap="127.0.0.1:9", data_dir=tmp_path)
    with pytest.raises(UiError, match=r"192\.0\.2\.1:8800.*give another --port"):
        serve(UiConfig(settings, host="192.0.2.1"))


def test_a_bundle_that_is_none_is_told_in_one_line(tmp_path: Path):
    run = segue("ui", "--bundle", tmp_path)
    assert run.exit_code == 1
    assert "is no bundle" in run.output
    assert run.output.count("\n") == 1
