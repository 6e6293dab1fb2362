import json
import math
import re
from typing import get_args

import pytest

from segue.models.data.recommendation import RecommendedSong
from segue.stream.config.settings import load_settings
from segue.stream.messages.events import Cause, Play, Reason, RecommendationList, encode
from segue.stream.messages.records import Record, read_batch
from segue.stream.serving.factory import load_recommender
from segue.stream.serving.pipeline import handle_plays
from segue.stream.state.store import HistoryStore
from tests.support.schemas import (
    BAD_PLAYS,
    BEYOND_JSON_SCHEMA,
    RECORDED_MS,
    assert_is_valid_list,
    errors,
    schema,
)
from tests.support.toy import song, write_toy_bundle


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
    told = schema("rejected")["properties"]["reason"]
    assert set(re.search(r"\((.*)\)", told["pattern"])[1].split("|")) == set(get_args(Reason))
    for reason in get_args(Reason):
        assert f"{reason}: " in told["description"]


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
    told = {"kind": manifest.kind, "version": manifest.version, "location": str(tmp_path / "toy")}
    assert errors("model", told) == []
    for name, wrong in [("kind", "GRU"), ("version", "gru-1"), ("location", "")]:
        assert errors("model", told | {name: wrong})
