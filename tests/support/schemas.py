"""The schemas of the project, what each finds wrong, and plays good and bad."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

import segue.stream

SCHEMAS = Path(segue.stream.__file__).parent / "schemas"
RECORDED_MS = 1_700_000_000_000


def schema(name: str) -> dict[str, Any]:
    return json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))


def errors(name: str, value: Any) -> list[str]:
    """Return where `value` is not as the schema wants it; nothing where it is valid."""
    found = Draft202012Validator(schema(name)).iter_errors(value)
    return [f"{error.json_path}: {error.message}" for error in found]


def raw_play(**changes: Any) -> bytes:
    """Write a good play with some fields changed, or left out by `...`."""
    made = {"event_id": "e", "user_id": "u", "song_id": "s", "played_at": 1_000} | changes
    return json.dumps({name: value for name, value in made.items() if value is not ...}).encode()


BAD_PLAYS = [
    b"[]",
    b'"play"',
    b"null",
    raw_play(event_id=...),
    raw_play(user_id=...),
    raw_play(song_id=...),
    raw_play(played_at=...),
    raw_play(song_id=7),
    raw_play(song_id=None),
    raw_play(user_id=""),
    raw_play(user_id="x" * 257),
    raw_play(user_id="a\u0000b"),
    raw_play(user_id="anna\n"),
    raw_play(event_id="a\u0085"),
    raw_play(song_id="\u2028"),
    raw_play(played_at=-1),
    raw_play(played_at=True),
    raw_play(played_at=0.5),
    raw_play(played_at=None),
    raw_play(played_at=253_402_300_800_000),
    raw_play(played_at="1700000000000"),
    raw_play(played_at="2023-11-14"),
    raw_play(played_at="2023-11-14T23:13:20"),  # no offset
    raw_play(played_at="2023-11-14T23:13Z"),
    raw_play(played_at="2023-11-14T23:13:20+01"),
    raw_play(played_at="2023-13-14T23:13:20Z"),
    raw_play(played_at="2023-11-14T24:00:00Z"),
    raw_play(played_at="2023-11-14T23:59:60Z"),
    raw_play(ms_played=-5),
    raw_play(ms_played=2**53 + 1),
    raw_play(ms_played="5"),
    raw_play(skipped=0),
    raw_play(context=[]),
    raw_play(context="radio"),
]

# What the schema's description says that JSON Schema cannot, and a play for each.
BEYOND_JSON_SCHEMA = {
    "bytes of UTF-8": raw_play(song_id="ü" * 200),
    "before 1970": raw_play(played_at="1969-12-31T23:59:59Z"),
    "in no calendar": raw_play(played_at="2023-02-30T12:00:00Z"),
    "future_tolerance_s": raw_play(played_at=RECORDED_MS + 1_001),
    "written with a point": raw_play(ms_played=1.0),
    "play_max_bytes": raw_play(context={"note": "x" * 70_000}),
    "follows once more": raw_play()[:-1] + b',"user_id":5,"user_id":"u"}',
}


def assert_is_valid_list(raw):
    """Check a list against the schema, and against what the schema says in words only."""
    value = json.loads(raw)
    assert errors("recommendations", value) == []
    items = value["items"]
    assert len({item["song_id"] for item in items}) == len(items)
    assert [item["score"] for item in items] == sorted((i["score"] for i in items), reverse=True)
    for item in items:
        weights = [reason["weight"] for reason in item["because"]]
        assert weights == sorted(weights, reverse=True)
        assert sum(weights) <= 1.001
