"""The ring of recent plays against a list that forgets nothing."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from segue.models.data.play_buffer import BufferSnapshot, RecentPlays

WINDOW = 6


class Remembered:
    """What a play was, kept for ever: the naive model."""

    def __init__(self, number, song, offset, previous, session):
        self.number, self.song, self.offset = number, song, offset
        self.previous, self.session = previous, session


def remember(log):
    """Take plays as (listener, song, begins a session, offsets passed over) one by one."""
    plays, last, offset = [], {}, -1
    for listener, song, begins, passed in log:
        offset += 1 + passed
        before, number = last.get(listener), len(plays) + 1
        if before is not None and number - before.number > 2 * WINDOW:
            before = None  # the ring no longer holds it, so a session begins anew
        session = number if before is None or begins else before.session
        last[listener] = Remembered(
            number, song, offset, None if before is None else before.number, session
        )
        plays.append(last[listener])
    return plays


def add(recent, play, plays):
    before = None if play.previous is None else plays[play.previous - 1]
    return recent.add(
        play.song,
        play.offset,
        1_000 * play.number,
        None if before is None else before.offset,
        continues_session=before is not None and before.session == play.session,
    )


def fed(plays, recent):
    for play in plays:
        add(recent, play, plays)
    return recent


def seen(recent, number):
    """Everything that can be asked as of a play: (number, song, links) of each in its window."""
    ring, least = recent.ring, max(1, number - recent.window + 1)

    def within(link):
        return int(link) if least <= link <= number else None

    reported = []
    for each in range(least, number + 1):
        place = each % recent.capacity
        links = (ring.previous, ring.following, ring.earlier)
        song = recent.song_ids[ring.songs[place]]
        session = int(ring.sessions[place])
        reported.append((each, song, session, *(within(link[place]) for link in links)))
    return reported


def wanted(plays, number):
    least = max(1, number - WINDOW + 1)
    window = plays[least - 1 : number]

    def within(link):
        return link if link is not None and link >= least else None

    reported = []
    for each in window:
        following = [one.number for one in window if one.previous == each.number]
        earlier = [one.number for one in window if one.song == each.song]
        earlier = [one for one in earlier if one < each.number]
        reported.append(
            (
                *(each.number, each.song, each.session, within(each.previous)),
                following[0] if following else None,
                earlier[-1] if earlier else None,
            )
        )
    return reported


logs = st.lists(
    st.tuples(
        st.sampled_from("uvw"), st.sampled_from("abcdefghi"), st.booleans(), st.integers(0, 2)
    ),
    max_size=60,
)


@settings(max_examples=150)
@given(logs)
def test_any_recent_play_finds_the_window_as_it_was(log):
    plays = remember(log)
    recent = fed(plays, RecentPlays(WINDOW))
    for number in range(max(1, len(plays) - WINDOW), len(plays) + 1):
        assert seen(recent, number) == wanted(plays, number)


@settings(max_examples=100)
@given(logs)
def test_a_play_is_found_by_its_offset_while_it_is_held(log):
    plays = remember(log)
    recent = fed(plays, RecentPlays(WINDOW))
    held = {play.offset: play.number for play in plays[-2 * WINDOW :]}
    for offset in range(plays[-1].offset + 3 if plays else 3):
        assert recent.number_at(offset) == held.get(offset)


@settings(max_examples=100)
@given(logs, st.data())
def test_plays_taken_up_again_are_the_same(log, data):
    plays = remember(log)
    kept = []
    recent = RecentPlays(WINDOW)
    for play in plays:
        kept.append(add(recent, play, plays))
        if data.draw(st.booleans()):
            recent = RecentPlays.of(WINDOW, kept[-2 * WINDOW :])
    for number in range(max(1, len(plays) - WINDOW), len(plays) + 1):
        assert seen(recent, number) == wanted(plays, number)


def test_songs_whose_plays_are_gone_give_their_slots_away():
    recent = RecentPlays(2)
    for number in range(100):
        recent.add(f"song-{number}", number, 0)
    assert len(recent.song_ids) <= 1 + recent.capacity + 1
    assert recent.slot("song-95") == 0
    assert {recent.slot(f"song-{number}") for number in range(96, 100)} == {1, 2, 3, 4}


def test_moments_are_told_apart_by_their_number():
    one, other = RecentPlays(3), RecentPlays(5)
    assert BufferSnapshot(one, 2) == BufferSnapshot(other, 2)
    assert BufferSnapshot(one, 2) != BufferSnapshot(one, 1)
