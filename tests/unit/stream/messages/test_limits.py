"""Everything from outside has a bound: what lies just within is taken, what lies beyond is not."""

from __future__ import annotations

import json
import os
import time

import pytest

from segue.models.bundles.bundle import MAX_MANIFEST_BYTES, BundleError, read_bundle
from segue.stream.config.settings import load_settings
from segue.stream.messages.events import MAX_EPOCH_MS, MAX_ID_BYTES
from segue.stream.messages.records import Record, read_batch
from segue.stream.messages.songs import MAX_GENRE, MAX_GENRES, MAX_TEXT, SongError, decode_song
from segue.stream.serving.model_registry import (
    MAX_LOCATION,
    MAX_PREVIOUS,
    RegistryError,
    decode_active_model,
)
from tests.support.toy import write_toy_bundle
from tests.unit.stream.fuzz.test_decoders import ANNOUNCEMENT, PLAY, SONG, VERSION

SETTINGS = load_settings()
RECORDED_MS = 1_700_000_000_000
AHEAD_MS = int(SETTINGS.future_tolerance_s * 1000)
HUGE = 1 << 40  # bytes; nothing of it is on disk
LARGEST_CONTEXT = SETTINGS.play_max_bytes - len(json.dumps({**PLAY, "context": {"x": ""}}))


def nested(depth):
    return {"x": json.loads("[" * depth + "]" * depth)}


def reason(raw, recorded_ms=RECORDED_MS):
    """Return why a play is rejected; None where it is taken."""
    [*rejected] = read_batch([Record("plays", 0, 0, recorded_ms, b"k", raw)], SETTINGS).dead_letters
    return rejected[0].error.reason if rejected else None


@pytest.mark.parametrize(
    ("within", "beyond", "why"),
    [
        ({"user_id": "é" * (MAX_ID_BYTES // 2)}, {"user_id": "é" * 129}, "bad_id"),
        ({"event_id": "e" * MAX_ID_BYTES}, {"event_id": "e" * (MAX_ID_BYTES + 1)}, "invalid"),
        ({"played_at": RECORDED_MS + AHEAD_MS}, {"played_at": RECORDED_MS + AHEAD_MS + 1}, None),
        ({"played_at": 0}, {"played_at": -1}, "invalid"),
        ({"played_at": "1970-01-01T00:00:00Z"}, {"played_at": "1969-12-31T23:59:59Z"}, "invalid"),
        ({"ms_played": 2**53}, {"ms_played": 2**53 + 1}, "invalid"),
        ({"context": {"x": "y" * LARGEST_CONTEXT}}, {"context": {"x": "y" * 65_536}}, "too_large"),
        ({"context": nested(100)}, None, None),
    ],
)
def test_a_play_is_taken_within_its_bounds_and_not_beyond(within, beyond, why):
    assert reason(json.dumps({**PLAY, **within}, ensure_ascii=False).encode()) is None
    if beyond is not None:
        found = reason(json.dumps({**PLAY, **beyond}, ensure_ascii=False).encode())
        assert found == (why or "in_the_future")


def test_times_end_with_the_year_9999_where_a_record_has_no_time_of_its_own():
    assert reason(json.dumps({**PLAY, "played_at": MAX_EPOCH_MS}).encode(), 0) is None
    assert reason(json.dumps({**PLAY, "played_at": MAX_EPOCH_MS + 1}).encode(), 0) == "invalid"


@pytest.mark.parametrize(
    ("name", "within", "beyond"),
    [
        *((name, "t" * MAX_TEXT, "t" * (MAX_TEXT + 1)) for name in ("title", "artist", "album")),
        ("genres", ["g" * MAX_GENRE], ["g" * (MAX_GENRE + 1)]),
        ("genres", [*map(str, range(MAX_GENRES))], [*map(str, range(MAX_GENRES + 1))]),
        ("released_at", "9999-12-31", "10000-01-01"),
        ("released_at", MAX_EPOCH_MS, MAX_EPOCH_MS + 1),
    ],
)
def test_a_song_is_taken_within_its_bounds_and_not_beyond(name, within, beyond):
    assert decode_song(json.dumps({**SONG, name: within}).encode())
    with pytest.raises(SongError):
        decode_song(json.dumps({**SONG, name: beyond}).encode())


SERVED = {"version": VERSION, "location": "b"}


@pytest.mark.parametrize(
    ("name", "within", "beyond"),
    [
        ("location", "l" * MAX_LOCATION, "l" * (MAX_LOCATION + 1)),
        ("previous", [SERVED] * MAX_PREVIOUS, [SERVED] * (MAX_PREVIOUS + 1)),
    ],
)
def test_an_announcement_is_taken_within_its_bounds_and_not_beyond(name, within, beyond):
    assert decode_active_model(b"gru", json.dumps({**ANNOUNCEMENT, name: within}).encode())
    with pytest.raises(RegistryError):
        decode_active_model(b"gru", json.dumps({**ANNOUNCEMENT, name: beyond}).encode())


@pytest.mark.parametrize("name", ["weights.safetensors", "vocabulary.json", "manifest.json"])
def test_a_huge_file_in_a_bundle_is_refused_by_its_size_alone(name, tmp_path):
    write_toy_bundle(tmp_path / "bundle")
    os.truncate(tmp_path / "bundle" / name, HUGE)
    began = time.process_time()
    with pytest.raises(BundleError, match=rf"{name}: it has {HUGE} bytes"):
        read_bundle(tmp_path / "bundle")
    assert time.process_time() - began < 1.0
    assert HUGE > MAX_MANIFEST_BYTES
