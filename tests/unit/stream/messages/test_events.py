import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.models.data.recommendation import Attribution, RecommendedSong
from segue.stream.messages.events import (
    Cause,
    DecodeError,
    Play,
    RecommendationList,
    decode_play,
    decode_recommendations,
    encode,
    rfc3339,
)
from tests.support.schemas import RECORDED_MS, raw_play


def decode(raw, **changes):
    place = {
        "partition": 3,
        "offset": 7,
        "timestamp_ms": RECORDED_MS,
        "max_bytes": 65_536,
        "future_tolerance_ms": 1_000,
    }
    return decode_play(raw, **{**place, **changes})


def reason_of(raw, **changes):
    with pytest.raises(DecodeError) as caught:
        decode(raw, **changes)
    return caught.value.reason


def test_a_play_keeps_its_place_in_the_log():
    assert decode(raw_play(ms_played=5, skipped=True)) == Play("e", "u", "s", 1_000, 3, 7, 5, True)


def test_times_come_as_epoch_or_rfc3339():
    stamped = decode(raw_play(played_at="2023-11-14T23:13:20+01:00"))
    assert stamped.played_at_ms == 1_700_000_000_000


def test_fields_that_producers_add_are_ignored():
    assert decode(raw_play(device="phone", context={"shuffle": True})).song_id == "s"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "empty"),
        (b"", "empty"),
        (raw_play(context={"note": "x" * 70_000}), "too_large"),
        (b"{", "not_json"),
        (b'{"event_id":"\xff"}', "not_json"),
        (b'{"other":' + b"[" * 60_000, "not_json"),
        (b"[]", "invalid"),
        (raw_play(song_id=...), "invalid"),
        (raw_play(song_id=7), "invalid"),
        (raw_play(user_id=""), "invalid"),
        (raw_play(user_id="x" * 257), "invalid"),
        (raw_play(played_at="2023-11-14T23:13:20"), "invalid"),  # no offset
        (raw_play(played_at=-1), "invalid"),
        (raw_play(played_at="1969-12-31T23:59:59Z"), "invalid"),
        (raw_play(played_at=True), "invalid"),
        (raw_play(ms_played=-5), "invalid"),
        (raw_play(user_id="a\u0000b"), "bad_id"),
        (raw_play(song_id="ü" * 200), "bad_id"),  # 400 bytes
        (raw_play(played_at=RECORDED_MS + 1_001), "in_the_future"),
    ],
)
def test_what_is_no_play_is_told_by_its_reason(raw, reason):
    assert reason_of(raw) == reason


def test_the_future_is_measured_from_the_records_own_time():
    ahead = raw_play(played_at=RECORDED_MS + 1_000)
    assert decode(ahead).played_at_ms == RECORDED_MS + 1_000
    assert decode(raw_play(played_at=RECORDED_MS * 2), timestamp_ms=-1)  # it has none


def test_a_list_survives_the_wire():
    made = RecommendationList(
        "u",
        Cause("e", 1, 2),
        rfc3339(1_500),
        "gru-1",
        [RecommendedSong("s", 0.5, ["gru"], [Attribution("t", 0.25)])],
    )
    assert decode_recommendations(encode(made)) == made
    assert json.loads(encode(made))["items"][0]["because"] == [{"song_id": "t", "weight": 0.25}]


@given(st.integers(0, 253_402_300_799_999))
def test_rfc3339_names_the_millisecond(epoch):
    moment = datetime.fromisoformat(rfc3339(epoch))
    assert (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000 == pytest.approx(
        epoch
    )
