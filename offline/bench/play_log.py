"""A log of plays in memory, as a worker would read it from its topic."""

from __future__ import annotations

from collections import Counter

from stream.batch import Record
from stream.events import PlayEvent, encode

TOPIC = "plays"


class PlayLog:
    """Gives each play the next offset of its partition."""

    def __init__(self) -> None:
        self._ends: Counter[int] = Counter()

    def record(
        self,
        partition: int,
        user_id: str,
        song_id: str,
        at_ms: int,
        ms_played: int | None = None,
        skipped: bool | None = None,
    ) -> Record:
        """Append a play and give it as it would come back.

        >>> log = PlayLog()
        >>> [log.record(place, "u", "s", 0).offset for place in (0, 1, 0)]
        [0, 0, 1]
        """
        offset = self._ends[partition]
        self._ends[partition] += 1
        name = f"{partition}-{offset}"
        event = PlayEvent(name, user_id, song_id, at_ms, ms_played, skipped)
        return Record(TOPIC, partition, offset, at_ms, user_id.encode(), encode(event))
