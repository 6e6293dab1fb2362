import json
from datetime import datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from segue.models.data.recommendation import Attribution, RecommendedSong
from segue.stream.messages.events import (
    Cause,
    DecodeError,
    ErasureEvent,
    Play,
    PlayEvent,
    RecommendationList,
    decode_play,
    decode_recommendations,
    encode,
)
from segue.stream.serving.model_registry import ActiveModel, ModelVersion, decode_active_model
from tests.support.schemas import (
    BAD_PLAYS,
    BEYOND_JSON_SCHEMA,
    RECORDED_MS,
    SCHEMAS,
    errors,
    raw_play,
    schema,
)

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


@pytest.mark.parametrize(("told", "raw"), BEYOND_JSON_SCHEMA.items())
def test_the_schema_tells_what_it_cannot_say(told, raw):
    assert not is_play(raw)
    assert errors("play", json.loads(raw)) == []
    assert told in schema("play")["description"]


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
