"""What a refresh learns from: sessions in item numbers, of songs played often enough for one."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from segue.models.data.play_metadata import DetailLists, PlayDetails
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.refresh.bundle_refresh import NewPlays
from segue.stream.refresh.sessions import Session


def number_plays(
    songs: Vocabulary,
    learn: Sequence[Session],
    kept: Sequence[Session],
    *,
    least_plays: int,
    mixed: int,
    share: float,
    seed: int,
) -> NewPlays:
    """Number new sessions, and `mixed` of those learned before; new songs go behind `songs`.

    kept: sessions learned before that are remembered. least_plays: in all of these, before a
    song has a number; plays of one without are left out. share: of each play count, that is
    left after the time that has gone by. Sessions in which a song was heard that has a number
    only now are mixed in whatever chance says: nothing has learned of it from them.
    """
    ordered = sorted(learn, key=lambda one: (one.played_at_ms[0], one.user_id))
    began_with = len(songs)
    for song in _often_enough(songs, ordered, kept, least_plays):
        songs.add(song)
    sessions = [one for each in ordered if (one := _numbered_part(each, songs)).songs]
    rows = [songs.numbers(one.songs) for one in sessions]
    details = [DetailLists(one.played_at_ms, one.skipped) for one in sessions]
    listeners: dict[str, int] = {}
    log = SessionLog(
        Ragged.of(rows),
        np.array([listeners.setdefault(one.user_id, len(listeners)) for one in sessions], np.int64),
        np.array([one.played_at_ms[0] for one in sessions], np.int64),
        PlayDetails.of_lists(details, [len(row) for row in rows]),
    )
    # Some songs of old sessions may be none of this bundle's, where it came from elsewhere.
    old = [songs.numbers(one.songs) for one in kept]
    waited = [max(row, default=0) > began_with for row in old]
    rest = [place for place, waiting in enumerate(waited) if not waiting]
    drawn = rest if len(rest) <= mixed else random.Random(f"{seed}:mix").sample(rest, mixed)
    chosen = [place for place, waiting in enumerate(waited) if waiting] + drawn
    return NewPlays(songs, log, Ragged.of([old[place] for place in chosen]), share)


def _often_enough(
    songs: Vocabulary, learn: Sequence[Session], kept: Sequence[Session], least_plays: int
) -> Iterable[str]:
    """Name the unknown songs of new sessions that were played often enough, in their order."""
    fresh = dict.fromkeys(song for one in learn for song in one.songs if song not in songs)
    plays = Counter(song for each in (learn, kept) for one in each for song in one.songs)
    return (song for song in fresh if plays[song] >= least_plays)


def _numbered_part(session: Session, songs: Vocabulary) -> Session:
    """Leave out the plays of songs without a number."""
    places = [place for place, song in enumerate(session.songs) if song in songs]
    if len(places) == len(session.songs):
        return session
    return Session(
        session.user_id,
        [session.songs[place] for place in places],
        [session.played_at_ms[place] for place in places],
        [session.skipped[place] for place in places],
    )
