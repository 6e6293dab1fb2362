"""Where in the log listeners asked to be forgotten, and what may not be known any more after it."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence

from segue.offline.chaos.evidence import LoggedPlay

AHEAD = 300
"""Offsets by which a store may be ahead of the newest play of its partition that has a list. A
batch has 50 records, two are at work, and a worker may be killed between storing and publishing."""


class Erasures:
    """All of them. records: of the plays topic, in the order of each partition's log."""

    def __init__(self, records: Iterable[LoggedPlay]) -> None:
        self._of_listener: dict[tuple[int, str], list[int]] = defaultdict(list)
        self._of_partition: dict[int, list[int]] = defaultdict(list)
        self._heard: dict[tuple[int, str, str], list[int]] = defaultdict(list)
        for one in records:
            if one.is_good:
                self._heard[one.partition, one.user_id, one.song_id].append(one.offset)
            if one.forgets:
                self._of_listener[one.partition, one.user_id].append(one.offset)
                self._of_partition[one.partition].append(one.offset)

    def __len__(self) -> int:
        return sum(map(len, self._of_partition.values()))

    def knows(self, play: LoggedPlay, song: str) -> bool:
        """Return whether at a play its listener has heard a song, and has not been forgotten since.

        The play itself counts.
        """
        heard = self._heard.get((play.partition, play.user_id, song), ())
        asked = self._of_listener.get((play.partition, play.user_id), ())
        last_heard, last_asked = _last(heard, play.offset), _last(asked, play.offset)
        return last_heard is not None and (last_asked is None or last_heard > last_asked)

    def erase(self, play: LoggedPlay, position: int) -> bool:
        """Return whether a play is forgotten by a store that has read up to `position`."""
        after = _next(self._of_listener.get((play.partition, play.user_id), ()), play.offset)
        return after is not None and after < position

    def may_change(self, play: LoggedPlay, answered: int, *, by_anybody: bool) -> bool:
        """Return whether what the play's list is made of may be forgotten as the list is made.

        answered: offset of the newest play of its partition that has a list by then. by_anybody:
        whether a list is made of other listeners' plays, too.
        """
        own = self._of_listener.get((play.partition, play.user_id), ())
        offsets = self._of_partition.get(play.partition, ()) if by_anybody else own
        after = _next(offsets, play.offset)
        return after is not None and after - answered <= AHEAD


def _last(offsets: Sequence[int], offset: int) -> int | None:
    place = bisect_right(offsets, offset)
    return offsets[place - 1] if place else None


def _next(offsets: Sequence[int], offset: int) -> int | None:
    place = bisect_right(offsets, offset)
    return offsets[place] if place < len(offsets) else None
