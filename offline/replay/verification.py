"""Lists that were published, compared byte by byte with those of a replay."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec.structs import replace

from segue.offline.replay.sources import ReplayError
from segue.stream.messages.events import RecommendationList, decode_recommendations, encode


@dataclass(frozen=True)
class Difference:
    """Where a published list and a replayed one part; lines: how, line by line."""

    partition: int
    offset: int
    lines: tuple[str, ...]

    def text(self) -> str:
        """Write it for people."""
        where = f"partition {self.partition}, offset {self.offset}"
        return "\n".join([f"The first difference, at {where}:", *(f"  {s}" for s in self.lines)])


@dataclass(frozen=True)
class Checked:
    """What a comparison found: lists that are equal, lists that are not, the first of those.

    models: that captured lists were made by; several where models were swapped meanwhile.
    """

    equal: int = 0
    different: int = 0
    first: Difference | None = None
    models: frozenset[str] = frozenset()

    def __add__(self, other: Checked) -> Checked:
        """Accept two partitions together; the first difference is that of the lower place."""
        found = [one.first for one in (self, other) if one.first is not None]
        first = min(found, key=lambda one: (one.partition, one.offset), default=None)
        return Checked(
            self.equal + other.equal,
            self.different + other.different,
            first,
            self.models | other.models,
        )

    def text(self) -> str:
        """Describe in one line what was found, and the remedy where no single bundle could do."""
        lines = f"{self.equal:,} lists are equal byte by byte, {self.different:,} are not"
        if len(self.models) < 2:
            return lines
        lines += f"; the captured lists are of {len(self.models)} models, swapped meanwhile"
        if not self.different:
            return lines
        return (
            f"{lines} ({', '.join(sorted(self.models))}): --bundle-root names the directory below "
            "which they lie"
        )


class Verifier:
    """Compares the lists of one partition with those of a captured topic.

    capture: JSON lines as `segue consume --format jsonl` writes them, in any order, repeats
    allowed. A list says when it was made, and a replay cannot know; so the replayed list takes
    `generated_at` from the captured one, and then every byte must be the same. What lies before
    the first or after the last captured play of the partition was not captured, which is no
    difference; a list missing in between is one.
    """

    def __init__(self, capture: Path, partition: int) -> None:
        self._places = _places(capture, partition)
        self._partition = partition
        self._low = min(self._places, default=0)
        self._high = max(self._places, default=-1)
        self._file = capture.open("rb")
        self.checked = Checked()

    def take(self, lists: Sequence[RecommendationList]) -> None:
        """Compare the lists of a batch."""
        for made in lists:
            offset = made.cause.offset
            places = self._places.pop(offset, ())
            if not places and self._low <= offset <= self._high:
                self._differ(offset, [f"captured nothing, replayed {_short(made)}"])
            for place in places:
                self._compare(place, made)

    def miss(self, first: int, end: int) -> None:
        """Count what was captured of plays from `first` up to `end` and was not replayed."""
        for offset in sorted(self._places):
            if first <= offset < end:
                self._differ(offset, ["captured a list, replayed none: there is no such play"])

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def _compare(self, place: int, made: RecommendationList) -> None:
        self._file.seek(place)
        raw = self._file.readline().rstrip(b"\n")
        captured = decode_recommendations(raw)
        self.checked += Checked(models=frozenset([captured.model]))
        made = replace(made, generated_at=captured.generated_at)
        if encode(made) == raw:
            self.checked += Checked(equal=1)
        else:
            self._differ(made.cause.offset, describe(captured, made))

    def _differ(self, offset: int, lines: Sequence[str]) -> None:
        difference = Difference(self._partition, offset, tuple(lines))
        self.checked += Checked(different=1, first=difference)


def describe(captured: RecommendationList, made: RecommendationList) -> list[str]:
    """Describe how two lists differ: field by field, and the first song that is not the same."""
    lines = [f"listener {made.user_id}, event {made.cause.event_id}"]
    for name in ("user_id", "cause", "model"):
        ours, theirs = getattr(made, name), getattr(captured, name)
        if ours != theirs:
            lines.append(f"{name}: captured {_json(theirs)}, replayed {_json(ours)}")
    if len(captured.items) != len(made.items):
        lines.append(f"songs: captured {len(captured.items)}, replayed {len(made.items)}")
    for place, (theirs, ours) in enumerate(zip(captured.items, made.items, strict=False), 1):
        if _json(theirs) != _json(ours):
            lines.append(f"song {place}: captured {_json(theirs)}")
            lines.append(f"{' ' * len(f'song {place}')}  replayed {_json(ours)}")
            break
    return lines if len(lines) > 1 else [*lines, "the same lists, written as different bytes"]


def _places(capture: Path, partition: int) -> dict[int, list[int]]:
    """Find the byte at which each captured list of a partition begins, by its play's offset."""
    places: dict[int, list[int]] = defaultdict(list)
    for begins, made in captured_lists(capture):
        if made.cause.partition == partition:
            places[made.cause.offset].append(begins)
    return dict(places)


def captured_lists(capture: Path) -> Iterator[tuple[int, RecommendationList]]:
    """Return every captured list, and the byte at which it begins; ReplayError for what is none."""
    begins = 0
    with capture.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                made = decode_recommendations(line)
            except (msgspec.DecodeError, UnicodeError) as error:
                raise ReplayError(
                    f"{capture}:{number}: no recommendation list ({error}): capture it with "
                    "`segue consume --from-beginning --format jsonl`"
                ) from error
            yield begins, made
            begins += len(line)


def _short(made: RecommendationList) -> str:
    return f"{len(made.items)} songs for {made.user_id} after {made.cause.event_id}"


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
