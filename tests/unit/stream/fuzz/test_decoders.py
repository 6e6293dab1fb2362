"""Whatever bytes come from outside: taken, or refused by the error that is meant for it, soon."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segue.models.bundles.bundle import BundleError, read_bundle
from segue.models.data.catalogue import Catalogue
from segue.offline.datasets import readers
from segue.offline.datasets.play_log import PlayLogError
from segue.stream.config.settings import SettingsError, load_settings
from segue.stream.messages.events import MAX_EPOCH_MS, MAX_ID_BYTES, decode_recommendations
from segue.stream.messages.records import Record, read_batch
from segue.stream.messages.songs import MAX_GENRE, MAX_GENRES, MAX_TEXT, SongError, decode_song
from segue.stream.observability.metrics import Metrics
from segue.stream.serving.catalogue import CatalogueFollower
from segue.stream.serving.model_registry import (
    MAX_LOCATION,
    MAX_PREVIOUS,
    ModelRegistry,
    RegistryError,
    bundle_directory,
    decode_active_model,
)
from segue.stream.serving.rules import RulesError, decode_rules
from tests.support.toy import write_toy_bundle

SECONDS = 3.0  # of the processor, for the worst input; most take microseconds
DEEP = 100_000
LONG = 300_000

PLAY = {
    "event_id": "e",
    "user_id": "u",
    "song_id": "s",
    "played_at": 1_700_000_000_000,
    "ms_played": 5,
    "skipped": False,
    "context": {"a": [1]},
}
SONG = {
    "song_id": "s",
    "title": "t",
    "genres": ["g"],
    "released_at": "2020-01-01",
    "explicit": True,
}
VERSION = "gru-0123456789ab"
ANNOUNCEMENT = {
    "kind": "gru",
    "version": VERSION,
    "location": "a",
    "previous": [{"version": VERSION, "location": "b"}],
}
LIST = {
    "user_id": "u",
    "cause": {"event_id": "e", "partition": 0, "offset": 0},
    "generated_at": "2024-01-01T00:00:00.000Z",
    "model": "m",
    "items": [{"song_id": "s", "score": 1.0, "sources": ["gru"], "because": []}],
}
RULES = """
explicit = "hide"
[artists]
most = 2
[heard]
minutes = 3.5
[songs]
block = ["a"]
"""

# What breaks readers: nesting past the stack, numbers past every type, text past every bound.
WORST = [
    b"[" * DEEP,
    b"[" * DEEP + b"]" * DEEP,
    b'{"a":' * DEEP,
    b'{"x":' + b"[" * DEEP + b"]" * DEEP + b"}",
    b'{"x":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    b'"' + b"a" * LONG + b'"',
    b"9" * LONG,
    b"1e" + b"9" * 400,
    b"-" * 1000,
    b'"' + b"\\u0000" * 10_000 + b'"',
    b'"' + b"\\ud800" * 10_000 + b'"',
    b"\xff" * 1000,
    b"\x00",
    b"",
    b"{" + b'"k":1,' * 50_000 + b'"k":1}',
    b"[" + b"0," * 50_000 + b"0]",
    b"NaN",
    b"null",
    "\ufeff{}".encode(),
    "{}".encode("utf-16"),
]

wild = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["\x00", "..", "/etc", "a" * 5000, "9999-12-31T23:59:59Z", "0001-01-01"])
    | st.sampled_from([-1, 2**63, 10**18, MAX_EPOCH_MS, MAX_EPOCH_MS + 1]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


def spoilt(good):
    """Draw JSON texts like `good`, with other values, without some, or cut and overwritten."""
    whole = json.dumps(good).encode()
    changed = st.dictionaries(st.sampled_from([*good]), wild, max_size=3).map(
        lambda values: json.dumps(good | values).encode()
    )
    overwritten = st.builds(
        lambda at, noise, width: whole[:at] + noise + whole[at + width :],
        st.integers(0, len(whole)),
        st.binary(max_size=4) | st.sampled_from([b"[", b'"', b"{", b"\\", b"e999", b"\xff"]),
        st.integers(0, 5),
    )
    return changed | overwritten | st.binary(max_size=200)


SETTINGS = load_settings()


def play(raw):
    record = Record("plays", 0, 0, 1_700_000_000_000, b"k", raw)
    batch = read_batch([record], SETTINGS)
    assert len(batch.plays) + len(batch.dead_letters) + len(batch.erasures) == 1
    for one in batch.plays:
        assert 0 < len(one.user_id.encode()) <= 256
        assert 0 <= one.played_at_ms <= MAX_EPOCH_MS
    for one in batch.dead_letters:
        assert len(dict(one.headers())["reason"]) < 10_000 + 6 * len(raw)


def song(raw):
    with suppress(SongError):
        decode_song(raw)


def announcement(raw):
    with suppress(RegistryError):
        decode_active_model(b"gru", raw)


def recommendations(raw):
    with suppress(msgspec.DecodeError):
        decode_recommendations(raw)


def rules(raw):
    text = raw.decode("utf-8", "replace")
    for reported in (text, "heard.plays = " + text, "songs.block = [" + text):
        with suppress(RulesError):
            decode_rules(reported)


READERS = [play, song, announcement, recommendations, rules]


@pytest.mark.parametrize("raw", WORST, ids=lambda raw: f"{raw[:8]!r}x{len(raw)}")
@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_the_worst_input_is_refused_soon(read, raw):
    began = time.process_time()
    read(raw)
    assert time.process_time() - began < SECONDS


@settings(max_examples=100)
@given(st.data())
@pytest.mark.parametrize(
    ("read", "good"),
    [(play, PLAY), (song, SONG), (announcement, ANNOUNCEMENT), (recommendations, LIST)],
    ids=["play", "song", "announcement", "recommendations"],
)
def test_anything_like_a_record_is_taken_or_refused(read, good, data):
    read(data.draw(spoilt(good)))


@settings(max_examples=100)
@given(st.integers(0, len(RULES)), st.text(max_size=5) | st.sampled_from('[]"\\={},.\n'))
def test_anything_like_rules_is_taken_or_refused(at, noise):
    with suppress(RulesError):
        decode_rules(RULES[:at] + noise + RULES[at + len(noise) :])


@settings(max_examples=60, suppress_health_check=[*HealthCheck])
@given(st.lists(st.tuples(st.none() | st.binary(max_size=9), st.none() | spoilt(SONG)), max_size=4))
def test_followers_of_topics_pass_over_what_they_cannot_use(reported):
    records = [Record("t", 0, at, 0, key, value) for at, (key, value) in enumerate(reported)]
    follower = CatalogueFollower.__new__(CatalogueFollower)
    follower._catalogue, follower._metrics = Catalogue(), Metrics()
    follower.take(records)
    ModelRegistry().take(records)


@settings(max_examples=100, suppress_health_check=[*HealthCheck])
@given(
    st.text()
    | st.lists(st.sampled_from(["..", ".", "a", "/", "\x00", "~", "a" * 300])).map("/".join)
)
def test_no_place_outside_the_bundle_root_is_found(tmp_path, location):
    with suppress(RegistryError):
        assert tmp_path.resolve() in bundle_directory(tmp_path, location).parents


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("bundles") / "bundle"
    write_toy_bundle(directory)
    return directory


NAMES = ("manifest.json", "weights.safetensors", "vocabulary.json")


@pytest.mark.parametrize("raw", WORST, ids=lambda raw: f"{raw[:8]!r}x{len(raw)}")
@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_with_the_worst_file_is_refused_soon(bundle, name, raw, tmp_path):
    put_together(bundle, tmp_path, name, raw)
    began = time.process_time()
    with pytest.raises(BundleError):
        read_bundle(tmp_path)
    assert time.process_time() - began < SECONDS


@settings(max_examples=100, suppress_health_check=[*HealthCheck])
@given(data=st.data())
def test_any_manifest_is_taken_or_refused(bundle, tmp_path, data):
    reported = json.loads((bundle / NAMES[0]).read_text())
    put_together(bundle, tmp_path, NAMES[0], data.draw(spoilt(reported)))
    with suppress(BundleError):
        read_bundle(tmp_path)


@pytest.mark.parametrize(
    "listed", ["../bundle/weights.safetensors", "/etc/passwd", "a/b", "..", "", "weights.pkl"]
)
def test_a_manifest_that_lists_another_file_is_refused_before_it_is_read(bundle, tmp_path, listed):
    reported = json.loads((bundle / NAMES[0]).read_text())
    reported["files"][listed] = reported["files"].pop("weights.safetensors")
    put_together(bundle, tmp_path, NAMES[0], json.dumps(reported).encode())
    with pytest.raises(BundleError, match="it lists"):
        read_bundle(tmp_path)


def put_together(bundle: Path, directory: Path, name: str, content: bytes) -> None:
    """Copy a bundle with another content in one file, true to its manifest's hash."""
    from segue.models.bundles.bundle import FileEntry, Manifest, _entry, _version

    for each in NAMES:
        (directory / each).write_bytes((bundle / each).read_bytes())
    (directory / name).write_bytes(content)
    if name != NAMES[0]:
        made = msgspec.json.decode((bundle / NAMES[0]).read_bytes(), type=Manifest)
        files: dict[str, FileEntry] = {**made.files, name: _entry(content)}
        version = _version(made.kind, files, made.config)
        made = msgspec.structs.replace(made, files=files, version=version)
        (directory / NAMES[0]).write_bytes(msgspec.json.encode(made))


@pytest.mark.parametrize("raw", WORST, ids=lambda raw: f"{raw[:8]!r}x{len(raw)}")
def test_the_worst_file_of_settings_is_refused(raw, tmp_path, monkeypatch):
    file = tmp_path / "segue.toml"
    file.write_bytes(b"group_id = " + raw)
    monkeypatch.setenv("SEGUE_CONFIG", str(file))
    with pytest.raises(SettingsError):
        load_settings()


@pytest.mark.parametrize("name", sorted(readers.READERS))
def test_the_worst_play_logs_are_refused_soon(name, tmp_path):
    for at, raw in enumerate(WORST):
        path = tmp_path / f"log-{at}"
        path.write_bytes(raw)
        began = time.process_time()
        with suppress(PlayLogError):
            readers.read_plays(path, name)
        assert time.process_time() - began < 5 * SECONDS, raw[:20]


# What lies just within a bound is accepted, what lies beyond is not.

RECORDED_MS = 1_700_000_000_000
AHEAD_MS = int(SETTINGS.future_tolerance_s * 1000)
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
