"""What must hold after a run, whatever happened in it: checked play by play, list by list.

It shares with the live system the format of what is published and the text of the rules, and no
code that counts plays, cuts sessions or makes lists, so that one finds the other's faults.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from segue.models.data.catalogue import SongDetails
from segue.models.data.play_metadata import DetailLists
from segue.models.recommenders.base import Request
from segue.models.reranking.rules import ListRules
from segue.offline.chaos.evidence import Evidence, LoggedPlay, Place, PublishedList, StoredPlays
from segue.offline.chaos.rule_oracle import broken_rules

MOST_EXAMPLES = 5  # of each kind of violation
LIVE_COUNTS = ("popularity",)  # of a song counted at the time of the list, not of its play


AHEAD = 300
"""Offsets by which a store may be ahead of the newest play of its partition that has a list. A
batch has 50 records, two are in flight, and a worker may be killed between
storing and publishing."""


class Erasures:
    """All of them. records: of the plays topic, in the order of each partition's log."""

    def __init__(self, records: Iterable[LoggedPlay]) -> None:
        self._of_listener: dict[tuple[int, str], list[int]] = defaultdict(list)
        self._of_partition: dict[int, list[int]] = defaultdict(list)
        self._played: dict[tuple[int, str, str], list[int]] = defaultdict(list)
        for one in records:
            if one.is_good:
                self._played[one.partition, one.user_id, one.song_id].append(one.offset)
            if one.forgets:
                self._of_listener[one.partition, one.user_id].append(one.offset)
                self._of_partition[one.partition].append(one.offset)

    def __len__(self) -> int:
        return sum(map(len, self._of_partition.values()))

    def knows(self, play: LoggedPlay, song: str) -> bool:
        """Return whether at a play its listener had played a song since their last erasure.

        The play itself counts.
        """
        played = self._played.get((play.partition, play.user_id, song), ())
        asked = self._of_listener.get((play.partition, play.user_id), ())
        last_played, last_asked = _last(played, play.offset), _last(asked, play.offset)
        return last_played is not None and (last_asked is None or last_played > last_asked)

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


@dataclass(frozen=True)
class Invariants:
    """What lists were to keep to.

    models: versions that may have made lists. session_gap_ms, session_max_songs: of the settings.
    from_others: whether lists are made of what other listeners play at present, too.
    """

    rules: ListRules
    catalogue: Mapping[str, SongDetails]
    list_length: int
    models: frozenset[str]
    session_gap_ms: int = 1_800_000
    session_max_songs: int = 50
    from_others: bool = False


@dataclass
class Findings:
    """What was looked at, how often, and what was wrong, by kind with some examples."""

    counts: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def found(self, kind: str, detail: str) -> None:
        """Accept note of one violation."""
        self.violations[kind] += 1
        if len(self.examples[kind]) < MOST_EXAMPLES:
            self.examples[kind].append(detail)


def check(evidence: Evidence, invariants: Invariants) -> Findings:
    """Hold the evidence against the invariants."""
    findings = Findings()
    plays = {play.place: play for play in evidence.plays if play.is_good}
    findings.counts["plays"] = len(plays)
    erasures = Erasures(evidence.plays)
    findings.counts["listeners forgotten"] = len(erasures)
    unknown = len(evidence.plays) - len(plays) - len(erasures)
    findings.counts["records that are no plays"] = unknown
    _check_lists(evidence, plays, erasures, invariants, findings)
    _check_rejected(evidence, findings)
    _check_stores(evidence, list(plays.values()), erasures, findings)
    for what in ("plays", "lists", "histories"):
        if not findings.counts[what]:
            findings.found("nothing to check", what)
    return findings


def _check_lists(
    evidence: Evidence,
    plays: Mapping[Place, LoggedPlay],
    erasures: Erasures,
    invariants: Invariants,
    findings: Findings,
) -> None:
    first: dict[tuple[Place, str], PublishedList] = {}
    answered: set[Place] = set()
    newest: Counter[int] = Counter()
    sessions = dict(_sessions(evidence.plays, invariants))
    for made in evidence.lists:
        findings.counts["lists"] += 1
        play = plays.get(made.cause)
        if play is None or not _answers(made, play):
            findings.found("list without a play", f"{made.cause}: {made.raw[:200]!r}")
            continue
        findings.counts["lists that came again"] += made.cause in answered
        answered.add(made.cause)
        newest[play.partition] = max(newest[play.partition], play.offset)
        if made.model not in invariants.models:
            findings.found("list of an unknown model", f"{made.cause}: {made.model}")
        songs, times = sessions[made.cause]
        for song in sorted(made.reasons):
            if not erasures.knows(play, song):
                findings.found("reason that is not known", f"{made.cause}: {song}")
        known = newest[play.partition]
        if erasures.may_change(play, known, by_anybody=False):
            songs, times = songs[-1:], times[-1:]  # no more is sure to be known
        for broken in _breaks(made, (songs, times), invariants):
            findings.found("rule broken", f"{made.cause}: {broken}")
        if LIVE_COUNTS in made.sources:
            findings.counts["lists with songs of live popularity"] += 1
        elif erasures.may_change(play, known, by_anybody=invariants.from_others):
            findings.counts["lists whose plays may have come again after an erasure"] += 1
        else:
            before = first.setdefault((made.cause, made.model), made)
            findings.counts["repeats compared, list by list"] += before is not made
            if before.content != made.content:
                findings.found("list changed when it came again", f"{made.cause}")
    for place in sorted(plays.keys() - answered):
        findings.found("play without a list", f"{place}: {plays[place].event_id}")


def _answers(made: PublishedList, play: LoggedPlay) -> bool:
    """Return whether a list names its play rightly and lies in its partition."""
    cause = (made.event_id, made.user_id, made.partition)
    return cause == (play.event_id, play.user_id, play.partition)


def _sessions(
    records: Iterable[LoggedPlay], invariants: Invariants
) -> Iterator[tuple[Place, tuple[Sequence[str], Sequence[int]]]]:
    """Return for each play the songs and times of its session up to it, in the order of the log.

    A session ends where its listener is forgotten.
    """
    running: dict[tuple[int, str], tuple[list[str], list[int]]] = {}
    for play in records:
        listener = (play.partition, play.user_id)
        if play.forgets:
            running.pop(listener, None)
        if not play.is_good:
            continue
        songs, times = running.get(listener, ([], []))
        if times and play.played_at_ms - times[-1] > invariants.session_gap_ms:
            songs, times = [], []
        songs = [*songs, play.song_id][-invariants.session_max_songs :]
        times = [*times, play.played_at_ms][-invariants.session_max_songs :]
        running[listener] = songs, times
        yield play.place, (songs, times)


def _breaks(
    made: PublishedList, session: tuple[Sequence[str], Sequence[int]], invariants: Invariants
) -> Iterator[str]:
    songs, times = session
    if len(made.songs) > invariants.list_length:
        yield f"{len(made.songs)} songs, at most {invariants.list_length}"
    details = DetailLists([*times], [None] * len(times))
    asked = Request(songs, (), session_details=details)
    yield from broken_rules(invariants.rules, invariants.catalogue, asked, made.songs)


def _check_rejected(evidence: Evidence, findings: Findings) -> None:
    bad = {one.place: one.raw for one in evidence.plays if not one.is_good and not one.forgets}
    rejected: set[Place] = set()
    for record in evidence.rejected:
        rejected.add(record.place)
        if record.place not in bad:
            findings.found("play rejected", f"{record.place}: {record.reason}")
        elif record.raw != bad[record.place]:
            findings.found("rejected record changed", f"{record.place}")
        elif not record.reason:
            findings.found("rejected without a reason", f"{record.place}")
    findings.counts["rejected records"] = len(rejected)
    for place in sorted(bad.keys() - rejected):
        raw = bad[place] or b""
        findings.found("bad record not rejected", f"{place}: {raw[:100]!r}")


def _check_stores(
    evidence: Evidence, plays: Sequence[LoggedPlay], erasures: Erasures, findings: Findings
) -> None:
    ends: Counter[int] = Counter()
    for record in evidence.plays:
        ends[record.partition] = max(ends[record.partition], record.offset + 1)
    reached: Counter[int] = Counter()
    for store in evidence.stores:
        for partition, position in store.positions.items():
            reached[partition] = max(reached[partition], position)
            known = [
                play for play in plays if play.partition == partition and play.offset < position
            ]
            erased = {play.place for play in known if erasures.erase(play, position)}
            _check_partition(store, partition, known, erased, findings)
    for partition, end in ends.items():
        if reached[partition] < end:
            behind = f"partition {partition}: {reached[partition]} of {end} records"
            findings.found("no store has all of the log", behind)


def _check_partition(
    store: StoredPlays,
    partition: int,
    plays: Sequence[LoggedPlay],
    erased: Collection[Place],
    findings: Findings,
) -> None:
    """Compare what a store holds with the log up to the offset that it says it is true for.

    erased: which of the plays are forgotten by then: the ring keeps their places and no songs.
    """
    wanted: dict[str, list[tuple[int, str, int]]] = defaultdict(list)
    for play in plays:
        if play.place in erased:
            continue
        wanted[play.user_id].append((play.offset, play.song_id, play.played_at_ms))
    held = {user: kept for (where, user), kept in store.histories.items() if where == partition}
    findings.counts["histories"] += len(held)
    for user in sorted(wanted.keys() | held.keys()):
        for difference in _differences(wanted.get(user, []), held.get(user, [])):
            findings.found(
                "history is not the log", f"{store.name}, {partition}, {user}: {difference}"
            )
    ring = [(play.offset, "" if play.place in erased else play.song_id) for play in plays]
    ring = ring[-len(store.recent[partition]) :]
    if plays and store.recent[partition] != ring:
        findings.found("recent plays are not the log", f"{store.name}, partition {partition}")


def _differences(
    wanted: Sequence[tuple[int, str, int]], held: Sequence[tuple[int, str, int]]
) -> Iterator[str]:
    if list(wanted) == list(held):
        return
    offsets, kept = [each[0] for each in wanted], [each[0] for each in held]
    if missing := sorted({*offsets} - {*kept}):
        yield f"missing {missing[:5]}"
    if again := [offset for offset, times in Counter(kept).items() if times > 1]:
        yield f"counted twice {again[:5]}"
    if strange := sorted({*kept} - {*offsets}):
        yield f"never played {strange[:5]}"
    if not missing and not again and not strange:
        yield "in another order, or other songs or times"
