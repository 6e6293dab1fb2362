"""The schemas and the code agree: fields, examples, what is accepted and what is not."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime, timedelta, timezone
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from segue.models.data.recommendation import Attribution, RecommendedSong
from segue.stream.config.settings import load_settings
from segue.stream.messages.events import (
    Cause,
    DecodeError,
    ErasureEvent,
    Play,
    PlayEvent,
    Reason,
    RecommendationList,
    decode_play,
    decode_recommendations,
    encode,
)
from segue.stream.messages.records import Record, read_batch
from segue.stream.serving.factory import load_recommender
from segue.stream.serving.model_registry import ActiveModel, ModelVersion, decode_active_model
from segue.stream.serving.pipeline import handle_plays
from segue.stream.state.store import HistoryStore
from tests.support.schemas import (
    BAD_PLAYS,
    BEYOND_JSON_SCHEMA,
    RECORDED_MS,
    SCHEMAS,
    assert_is_valid_list,
    errors,
    raw_play,
    schema,
)
from tests.support.toy import song, write_toy_bundle

NAMES = ["play", "erasure", "recommendations", "rejected", "song", "model"]


def decode(raw):
    return decode_play(
        raw,
        partition=0,
        offset=0,
        timestamp_ms=RECORDED_MS,
        max_bytes=65_536,
        future_tolerance_ms=1_000,
    )


def is_play(raw):
    try:
        decode(raw)
    except DecodeError:
        return False
    return True


def described(part, path="$"):
    """Walk over every property of a schema as (path, its schema)."""
    for name, inner in part.get("properties", {}).items():
        yield f"{path}.{name}", inner
        yield from described(inner, f"{path}.{name}")
    if "items" in part:
        yield from described(part["items"], f"{path}[]")


@pytest.mark.parametrize("name", NAMES)
def test_every_schema_is_valid_and_explains_itself(name):
    whole = schema(name)
    Draft202012Validator.check_schema(whole)
    assert whole["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert whole["$id"] == f"{name}.json"
    assert whole["title"]
    assert whole["description"]
    assert [path for path, part in described(whole) if not part.get("description")] == []
    assert whole["examples"]
    for example in whole["examples"]:
        assert errors(name, example) == []


def spoilt(value):
    """Return copies of a JSON value, each with one part of it made another type."""
    yield [] if isinstance(value, str | int | float) else "text"
    if isinstance(value, dict):
        for name, part in value.items():
            yield from (value | {name: made} for made in spoilt(part))
    if isinstance(value, list):
        for place, part in enumerate(value):
            yield from ([*value[:place], made, *value[place + 1 :]] for made in spoilt(part))


@pytest.mark.parametrize("name", NAMES)
def test_no_part_of_an_example_may_have_another_type(name):
    example = schema(name)["examples"][0]
    if name == "play":
        example = example | {"context": {}}  # whose parts are the producer's own affair
    wrong = list(spoilt(example))
    assert len(wrong) > len(example)
    assert [value for value in wrong if not errors(name, value)] == []


@pytest.mark.parametrize("name", NAMES)
def test_what_is_required_cannot_be_left_out(name):
    whole = schema(name)
    for required in whole["required"]:
        left = {key: value for key, value in whole["examples"][0].items() if key != required}
        assert errors(name, left), required


def test_there_are_no_other_schemas():
    assert sorted(path.name for path in SCHEMAS.iterdir()) == sorted(f"{n}.json" for n in NAMES)


@pytest.mark.parametrize(
    ("name", "path", "struct"),
    [
        ("play", [], PlayEvent),
        ("erasure", [], ErasureEvent),
        ("recommendations", [], RecommendationList),
        ("recommendations", ["cause"], Cause),
        ("recommendations", ["items"], RecommendedSong),
        ("recommendations", ["items", "because"], Attribution),
        ("model", [], ActiveModel),
        ("model", ["previous"], ModelVersion),
    ],
)
def test_schemas_name_the_fields_that_the_code_has(name, path, struct):
    part = schema(name)
    for step in path:
        part = part["properties"][step]
        part = part.get("items", part)
    fields = msgspec.structs.fields(struct)
    assert list(part["properties"]) == [field.name for field in fields]
    assert part["required"] == [field.name for field in fields if field.required]


def test_examples_are_read_by_the_code():
    for example in schema("play")["examples"]:
        assert isinstance(decode(json.dumps(example).encode()), Play)
    for example in schema("recommendations")["examples"]:
        assert json.loads(encode(decode_recommendations(json.dumps(example).encode()))) == example

    for example in schema("model")["examples"]:
        made = decode_active_model(example["kind"].encode(), json.dumps(example).encode())
        assert json.loads(msgspec.json.encode(made)) == example


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"played_at": 0},
        {"played_at": "2023-11-14T22:13:20Z"},
        {"played_at": "2023-11-14t22:13:20.123456789z"},
        {"played_at": "2023-11-14 23:13:20+0100"},
        {"ms_played": None, "skipped": None, "context": None},
        {"ms_played": 2**53, "skipped": True, "context": {"a": [1, None, {"b": 0.5}]}},
        {"device": {"any": "thing"}},
        {"user_id": "ü" * 128, "song_id": "\N{MUSICAL NOTE} \" \\ '"},
    ],
)
def test_a_play_that_is_taken_is_valid(changes):
    raw = raw_play(**changes)
    assert is_play(raw)
    assert errors("play", json.loads(raw)) == []


@pytest.mark.parametrize("raw", BAD_PLAYS, ids=range(len(BAD_PLAYS)))
def test_what_is_no_play_is_taken_nowhere(raw):
    assert not is_play(raw)
    assert errors("play", json.loads(raw))


@pytest.mark.parametrize(("reported", "raw"), BEYOND_JSON_SCHEMA.items())
def test_the_schema_tells_what_it_cannot_say(reported, raw):
    assert not is_play(raw)
    assert errors("play", json.loads(raw)) == []
    assert reported in schema("play")["description"]


json_numbers = {"allow_nan": False, "allow_infinity": False}
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(**json_numbers) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ids = st.text(min_size=1, max_size=20)
moments = st.builds(
    lambda moment, separator: moment.isoformat(separator),
    st.datetimes(
        datetime(1900, 1, 1),
        datetime(2030, 1, 1),
        timezones=st.integers(-1439, 1439).map(lambda offset: timezone(timedelta(minutes=offset))),
    ),
    st.sampled_from("Tt _"),
)
fields = {
    **dict.fromkeys(["event_id", "user_id", "song_id"], ids),
    "played_at": moments | st.integers(-(10**13), 10**13),
    "ms_played": st.none() | st.integers(-5, 2**54),
    "skipped": st.none() | st.booleans(),
    "context": st.none() | st.dictionaries(st.text(), anything, max_size=2),
}


@given(st.fixed_dictionaries(fields), st.dictionaries(st.sampled_from([*fields]), anything))
def test_whatever_is_taken_is_valid(good, spoilt):
    for changes in (good, good | dict(list(spoilt.items())[:1])):
        raw = raw_play(**changes)
        if is_play(raw):
            assert errors("play", json.loads(raw)) == []


@given(st.fixed_dictionaries({**fields, "played_at": st.integers(0, RECORDED_MS)}))
def test_what_is_valid_is_taken_where_ids_are_short_and_times_are_past(made):
    raw = raw_play(**made)
    assert is_play(raw) == (errors("play", json.loads(raw)) == [])


@pytest.fixture(params=["popularity", "gru"])
def recommender(request, tmp_path):
    if request.param == "popularity":
        return load_recommender(load_settings())
    write_toy_bundle(tmp_path / "bundle", songs=40)
    return load_recommender(load_settings(bundle=tmp_path / "bundle"))


def test_lists_of_the_pipeline_are_valid(recommender, tmp_path):
    store = HistoryStore(tmp_path / "histories")
    users = ["anna", "bert", "Zoë \N{MUSICAL NOTE}"]
    plays = [
        Play(f"e{n}", users[n % 3], song(n % 13) if n % 7 else f"new-{n}", 1_000 * n, n % 2, n // 2)
        for n in range(60)
    ]
    made = [
        one
        for start in range(0, 60, 20)
        for one in handle_plays(
            plays[start : start + 20], {}, store, recommender, now_ms=RECORDED_MS
        )[1]
    ]
    store.close()
    assert len(made) == 60
    sources = {source for one in made for item in one.items for source in item.sources}
    by_model = {"gru", "session"} if recommender.version != "popularity" else set()
    assert sources == {"popularity"} | by_model
    for one in made:
        assert_is_valid_list(encode(one))


def good_list(**changes):
    return schema("recommendations")["examples"][0] | changes


def item(**changes):
    return [schema("recommendations")["examples"][0]["items"][0] | changes]


@pytest.mark.parametrize(
    "changes",
    [
        {"user_id": ""},
        {"user_id": "x" * 257},
        {"cause": {"event_id": "e", "partition": -1, "offset": 0}},
        {"cause": {"event_id": "e", "partition": 0, "offset": -1}},
        {"cause": {"event_id": "e", "partition": 0}},
        {"generated_at": "2023-11-14T22:13:20Z"},
        {"generated_at": RECORDED_MS},
        {"model": ""},
        {"items": None},
        {"items": item(score=None)},  # what encoding makes of a score that is not a number
        {"items": item(sources=[])},
        {"items": item(sources=[""])},
        {"items": item(because=[{"song_id": "s", "weight": 1.5}])},
        {"items": item(because=[{"song_id": "s", "weight": -0.5}])},
        {"items": item(because=None)},
    ],
)
def test_what_is_no_list_is_invalid(changes):
    assert errors("recommendations", good_list()) == []
    assert errors("recommendations", good_list(**changes))


def test_a_score_that_is_not_a_number_would_be_seen():
    broken = RecommendedSong("s", math.nan, ["gru"], [])
    made = RecommendationList("u", Cause("e", 0, 0), "2023-11-14T22:13:20.017Z", "m", [broken])
    assert errors("recommendations", json.loads(encode(made)))


def headers(rejected):
    return {name: value.decode() for name, value in rejected.headers()}


def test_headers_of_rejected_plays_are_valid_whatever_was_received():
    values = [None, b"", b"{", b'"\xff"', b"\x00" * 70_000, *BAD_PLAYS]
    values += BEYOND_JSON_SCHEMA.values()
    records = [
        Record("plays", number % 4, number, RECORDED_MS, b"key", value)
        for number, value in enumerate(values)
    ]
    batch = read_batch(records, load_settings(future_tolerance_s=1))
    assert len(batch.dead_letters) == len(values)
    for rejected in batch.dead_letters:
        assert errors("rejected", headers(rejected)) == []
    assert {rejected.error.reason for rejected in batch.dead_letters} == set(get_args(Reason))


def test_the_reasons_are_those_of_the_code():
    reported = schema("rejected")["properties"]["reason"]
    assert set(re.search(r"\((.*)\)", reported["pattern"])[1].split("|")) == set(get_args(Reason))
    for reason in get_args(Reason):
        assert f"{reason}: " in reported["description"]


@pytest.mark.parametrize(
    "changes",
    [{"reason": "dull: song"}, {"topic": "no topic"}, {"partition": "-1"}, {"offset": "0x7"}],
)
def test_other_headers_are_invalid(changes):
    assert errors("rejected", schema("rejected")["examples"][0] | changes)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"song_id": ""},
        {"song_id": "a\nb"},
        {"song_id": "x" * 257},
        {"song_id": "s", "title": None},
        {"song_id": "s", "genres": "jazz"},
        {"song_id": "s", "genres": ["jazz", "jazz"]},
        {"song_id": "s", "genres": [""]},
        {"song_id": "s", "released_at": "August 1959"},
        {"song_id": "s", "released_at": -62_135_596_800_001},
        {"song_id": "s", "released_at": 253_402_300_800_000},
        {"song_id": "s", "released_at": "1959-08-17T12:00:00"},
    ],
)
def test_what_is_no_song_is_invalid(value):
    assert errors("song", value)


@pytest.mark.parametrize("moment", ["1959-08-17", "1959-08-17T00:00:00Z", -327_196_800_000])
def test_songs_were_released_long_ago(moment):
    assert errors("song", {"song_id": "s", "released_at": moment}) == []


def test_what_a_bundle_says_of_itself_can_be_announced(tmp_path):
    manifest = write_toy_bundle(tmp_path / "toy")
    reported = {
        "kind": manifest.kind,
        "version": manifest.version,
        "location": str(tmp_path / "toy"),
    }
    assert errors("model", reported) == []
    for name, wrong in [("kind", "GRU"), ("version", "gru-1"), ("location", "")]:
        assert errors("model", reported | {name: wrong})
