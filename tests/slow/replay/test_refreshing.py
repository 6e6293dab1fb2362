"""Replays in which models are refreshed as the stream goes by."""

from __future__ import annotations

import json

import polars as pl
import pytest

from segue.models.bundles.bundle import read_bundle
from segue.offline.datasets.play_log import PLAYS_SCHEMA
from segue.offline.replay.model_timeline import Timeline
from segue.offline.replay.refreshing import Cadence, refresh_chain
from segue.offline.replay.sources import OPEN, LogSource, ReplayError
from segue.stream.config.settings import load_settings
from segue.stream.messages.records import Record
from segue.stream.serving.factory import load_bundle, load_recommender, recommender_config
from tests.support.cli import segue
from tests.support.toy import song, write_toy_bundle

HOUR_MS = 3_600_000
START_MS = 1_700_000_000_000
NEW = "released-midway"


def plays_of(days=4, each=200):
    """Return a log: listeners hear song 2 each hour and, from day 1 on, a new song after it."""
    rows = []
    for hour in range(24 * days):
        for listener in range(each // 24 + 1):
            began = START_MS + hour * HOUR_MS + listener * 1_000
            later = NEW if hour >= 24 else song(3)
            user = f"u{(hour * 7 + listener) % 40}"
            rows += [(user, song(2), began), (user, later, began + 60_000)]
    frame = pl.DataFrame(rows, schema=["user_id", "song_id", "played_at_ms"], orient="row")
    return frame.sort("played_at_ms", maintain_order=True)


@pytest.fixture
def bundle(tmp_path):
    write_toy_bundle(tmp_path / "gru", songs=50)
    return tmp_path / "gru"


@pytest.fixture
def source(tmp_path):
    frame = plays_of()
    missing = [
        pl.lit(None, kind).alias(name)
        for name, kind in PLAYS_SCHEMA.items()
        if name not in frame.columns
    ]
    return LogSource.write(frame.with_columns(missing), "log", 2, tmp_path / "plays")


def test_cadences_are_read_and_told():
    assert Cadence.parse("daily") == Cadence("daily", 24 * HOUR_MS)
    assert Cadence.parse("30m") == Cadence("every 30m", HOUR_MS // 2)
    assert Cadence.parse("plays=5000") == Cadence("every 5,000 plays", None, 5000)
    for wrong in ("weekly", "0h", "plays=0", "5"):
        with pytest.raises(ReplayError, match="say daily, hourly"):
            Cadence.parse(wrong)


def test_bundles_follow_each_other_and_none_knows_the_future(bundle, source, tmp_path):
    settings = load_settings(bundle=bundle)
    chain = refresh_chain(source, OPEN, settings, Cadence.parse("12h"), tmp_path / "chain")
    assert len(chain.swaps) >= 6
    times = [time_ms for time_ms, _ in chain.swaps]
    assert times == sorted(times)
    known = []
    for time_ms, directory in chain.swaps:
        found = read_bundle(directory)
        known.append(NEW in found.vocabulary)
        assert found.manifest.training["to_ms"] + 30 * 60_000 <= time_ms
    assert known == sorted(known)
    assert (known[0], known[-1]) == (False, True)
    assert sum(one.new_songs for one in chain.outcomes) == 1


def test_the_model_changes_at_a_play(bundle, tmp_path):
    write_toy_bundle(tmp_path / "later", songs=50, seed=1)
    settings = load_settings(bundle=bundle)
    first = load_recommender(settings)
    config = recommender_config(settings)
    swaps = [(100, tmp_path / "later")]
    timeline = Timeline(first, swaps, lambda directory: load_bundle(directory, config))
    records = [Record("", 0, n, time_ms, None, None) for n, time_ms in enumerate((0, 99, 100, 150))]
    parts = [(made.version, len(mine)) for made, mine in timeline.parts(records)]
    later = read_bundle(tmp_path / "later").manifest.version
    assert parts == [(first.version, 2), (later, 2)]


def test_the_command_sets_refreshed_models_beside_the_one_that_never_is(bundle, tmp_path):
    plays_of().rename({"played_at_ms": "played_at"}).write_csv(tmp_path / "plays.csv")
    words = ["replay", "--plays", tmp_path / "plays.csv", "--bundle", bundle]
    words += ["--refresh", "12h", "--refresh", "plays=200", "--json", tmp_path / "figures.json"]
    result = segue(*list(map(str, words)))
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    refreshed = figures["gru refreshed every 12h"]
    assert refreshed["refreshes"]["accepted"] >= 6
    assert refreshed["refreshes"]["new_songs"] == 1
    assert figures["_timing"]["gru refreshed every 12h"]["refresh_cpu_s"] > 0
    assert figures["gru refreshed every 200 plays"]["judged"] == figures["judged"]
    assert "gru refreshed every 12h: " in result.output
    assert refreshed["hit_rate_at_20"] > figures["hit_rate_at_20"]
