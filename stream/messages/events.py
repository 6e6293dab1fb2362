"""What goes over the wire: plays in, recommendations and rejections out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

from segue.models.data.recommendation import RecommendedSong

MAX_ID_BYTES = 256
"""User and song ids become LMDB keys, which end at 511 bytes."""

MAX_EPOCH_MS = 253_402_300_799_999  # the last millisecond of year 9999, where RFC 3339 ends

Reason = Literal["empty", "too_large", "not_json", "invalid", "bad_id", "in_the_future"]
"""Why a play was rejected: a fixed set, because each is the value of a metric's label."""

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_BYTES)]
EpochMs = Annotated[int, msgspec.Meta(ge=0, le=MAX_EPOCH_MS)]
Timestamp = Annotated[datetime, msgspec.Meta(tz=True)]
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class PlayEvent(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One value of the topic `plays`. Unknown fields are ignored, so producers may add some."""

    event_id: Id
    user_id: Id
    song_id: Id
    played_at: EpochMs | Timestamp
    """When the song began: Unix epoch in milliseconds, or RFC 3339 with its offset."""
    ms_played: Milliseconds | None = None
    skipped: bool | None = None
    context: dict[str, Any] | None = None


class ErasureEvent(msgspec.Struct, frozen=True, gc=False):
    """A value of the topic `plays` that erases a listener.

    It stands in the log like a play, so that whoever builds state from the log comes to it at
    the same place: what is known by then of the listener is deleted, what comes after stays.
    """

    event_id: Id
    user_id: Id
    action: Literal["forget"]


class Erasure(msgspec.Struct, frozen=True, gc=False):
    """A valid erasure of a listener, with its partition and offset."""

    event_id: str
    user_id: str
    partition: int
    offset: int


class Play(msgspec.Struct, frozen=True, gc=False):
    """A valid play and the place in the log that it holds."""

    event_id: str
    user_id: str
    song_id: str
    played_at_ms: int
    partition: int
    offset: int
    ms_played: int | None = None
    skipped: bool | None = None


class Cause(msgspec.Struct, frozen=True, gc=False):
    """The play that a list answers. Consumers drop a repeated list by it."""

    event_id: str
    partition: int
    offset: int


class RecommendationList(msgspec.Struct, frozen=True, gc=False):
    """One value of the topic `recommendations`, best song first."""

    user_id: str
    cause: Cause
    generated_at: str
    model: str
    items: Sequence[RecommendedSong]


class DecodeError(ValueError):
    """A play that cannot be used, with the reason that goes to the rejected topic."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_play_decoder = msgspec.json.Decoder(PlayEvent)
_erasure_decoder = msgspec.json.Decoder(ErasureEvent)
_list_decoder = msgspec.json.Decoder(RecommendationList)
_encoder = msgspec.json.Encoder()


def decode_play(
    raw: bytes | None,
    *,
    partition: int,
    offset: int,
    timestamp_ms: int,
    max_bytes: int,
    future_tolerance_ms: int,
) -> Play:
    """Read and check one record of the topic `plays`; anything unusable raises DecodeError.

    A play from the future would hold its place at the head of every decaying count, so it may
    lie at most `future_tolerance_ms` after its record's own timestamp.
    """
    if not raw:
        raise DecodeError("empty", "the record has no value")
    if len(raw) > max_bytes:
        raise DecodeError("too_large", f"{len(raw)} bytes, at most {max_bytes} are accepted")
    event = _decode_event(raw)
    played_at_ms = epoch_ms(event.played_at)
    if played_at_ms < 0:
        raise DecodeError("invalid", f"played_at {played_at_ms} ms lies before 1970")
    if timestamp_ms > 0 and played_at_ms > timestamp_ms + future_tolerance_ms:
        detail = f"played_at {played_at_ms} ms, but its record was made at {timestamp_ms} ms"
        raise DecodeError("in_the_future", detail)
    return Play(
        event.event_id,
        event.user_id,
        event.song_id,
        played_at_ms,
        partition,
        offset,
        event.ms_played,
        event.skipped,
    )


def _decode_event(raw: bytes) -> PlayEvent:
    try:
        event = _play_decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise DecodeError("invalid", str(error)) from error
    # Besides broken JSON: bytes that are not UTF-8, and brackets nested past the stack.
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise DecodeError("not_json", str(error)) from error
    for name in ("event_id", "user_id", "song_id"):
        check_id(name, getattr(event, name))
    return event


def check_id(name: str, value: str) -> None:
    """Refuse, with DecodeError, an id that no key may be made of."""
    if _CONTROL.search(value):
        raise DecodeError("bad_id", f"{name} {value!r} holds a control character")
    if not value.isascii() and len(value.encode()) > MAX_ID_BYTES:
        raise DecodeError("bad_id", f"{name} is over {MAX_ID_BYTES} bytes of UTF-8")


def epoch_ms(moment: int | datetime) -> int:
    """Return Unix milliseconds; a datetime must carry its offset.

    >>> epoch_ms(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000
    """
    if isinstance(moment, int):
        return moment
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // _MILLISECOND


_MILLISECOND = datetime(1970, 1, 1, 0, 0, 0, 1000) - datetime(1970, 1, 1)


def rfc3339(epoch: int) -> str:
    """Write Unix milliseconds as RFC 3339 in UTC.

    >>> rfc3339(1_500)
    '1970-01-01T00:00:01.500Z'
    """
    seconds, milliseconds = divmod(epoch, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


def decode_erasure(raw: bytes | None, *, partition: int, offset: int) -> Erasure | None:
    """Read a record of the topic `plays` that is no play; None where it is no erasure either."""
    try:
        event = _erasure_decoder.decode(raw or b"")
        check_id("event_id", event.event_id)
        check_id("user_id", event.user_id)
    except (msgspec.DecodeError, UnicodeError, RecursionError, DecodeError):
        return None
    return Erasure(event.event_id, event.user_id, partition, offset)


def encode(message: PlayEvent | ErasureEvent | RecommendationList) -> bytes:
    """Write one message as JSON."""
    return _encoder.encode(message)


def decode_recommendations(raw: bytes) -> RecommendationList:
    """Read one value of the topic `recommendations`; msgspec.DecodeError where it is none."""
    try:
        return _list_decoder.decode(raw)
    except (UnicodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error
