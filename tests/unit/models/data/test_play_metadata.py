"""When plays began and which were skipped: beside their songs, through everything done to them."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from segue.models.data.play_metadata import NO_DETAILS, UNKNOWN, DetailLists, PlayDetails
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts, SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.ranking.context_features import context_features
from segue.models.recommenders.base import Request, contexts_of
from segue.offline.datasets.play_log import PLAYS_SCHEMA, PlayLog
from segue.offline.datasets.sessions import Numbering, Predictions
from segue.stream.messages.events import Play
from segue.stream.state.store import HistoryStore

MINUTE = 60_000


def marked(rows: list[list[int]]) -> tuple[Ragged, PlayDetails]:
    """Let a play of song i begin at i, and be skipped where i is odd."""
    songs = Ragged.of(rows)
    return songs, PlayDetails(songs.values.copy(), (songs.values % 2).astype(np.int8))


def belong(songs: Ragged, details: PlayDetails) -> bool:
    times, skips = details.played_at_ms, details.skipped
    return bool((times == songs.values).all() and (skips == songs.values % 2).all())


ROWS = st.lists(st.lists(st.integers(1, 9), max_size=4), min_size=1, max_size=6)


@given(ROWS, ROWS, st.data())
def test_details_go_with_their_plays_whatever_is_done_to_them(sessions, histories, data):
    count = min(len(sessions), len(histories))
    played, details = marked(sessions[:count])
    before, then = marked(histories[:count])
    contexts = Contexts(played, before, details, then)
    start = data.draw(st.integers(0, count))
    chosen = np.array(data.draw(st.lists(st.integers(0, count - 1))), np.int64)
    known = np.arange(10) * np.array(data.draw(st.lists(st.booleans(), min_size=10, max_size=10)))
    for made in (contexts.slice(start, count), contexts.take(chosen), contexts.translate(known)):
        assert belong(made.sessions, made.session_details)
        assert belong(made.histories, made.history_details)
    order = np.arange(count)
    log = SessionLog(played, order, order, details)
    kept = played.values > data.draw(st.integers(0, 9))
    for changed in (
        log.slice(start, count),
        log.take(chosen),
        log.translate(known),
        log.joined(log),
        log.keep(kept),
    ):
        assert belong(changed.sessions, changed.details)


def test_where_nothing_is_known_nothing_is_kept():
    log = SessionLog(Ragged.of([[1, 2]]), np.zeros(1, int), np.zeros(1, int))
    assert log.joined(log).details is NO_DETAILS
    reported = PlayDetails(np.array([5, 6]), np.array([1, 0], np.int8))
    both = log.joined(SessionLog(log.sessions, log.listeners, log.began_ms, reported))
    assert both.details.played_at_ms.tolist() == [UNKNOWN, UNKNOWN, 5, 6]
    assert both.details.skipped.tolist() == [UNKNOWN, UNKNOWN, 1, 0]


def test_a_request_s_details_leave_with_the_songs_nobody_knows():
    reported = DetailLists([10, 20, 30], [True, None, False])
    requests = [
        Request(["a", "?", "b"], (), ["b"], reported),
        Request(["b"], (), ["?", "a", "b"], history_details=reported),
    ]
    contexts = contexts_of(requests, Vocabulary(["a", "b"]))
    assert contexts.session_details.played_at_ms.tolist() == [10, 30, UNKNOWN]
    assert contexts.session_details.skipped.tolist() == [1, 0, UNKNOWN]
    assert contexts.history_details.played_at_ms.tolist() == [UNKNOWN, 20, 30]
    assert contexts.history_details.skipped.tolist() == [UNKNOWN, UNKNOWN, 0]


def log_of(rows: list[tuple[str, str, int, bool | None]], *, timed: bool = True) -> PlayLog:
    plays = [(user, None, song, minute * MINUTE, None, skip) for user, song, minute, skip in rows]
    return PlayLog(pl.DataFrame(plays, schema=PLAYS_SCHEMA, orient="row"), timed=timed)


PLAYS = [("u", "a", 0, True), ("v", "b", 1, None), ("u", "b", 2, None), ("u", "c", 90, False)]


def test_numbering_keeps_them_in_the_order_of_the_sessions():
    log = Numbering().number(log_of(PLAYS), 1800)
    assert [row.tolist() for row in log.sessions] == [[1, 2], [2], [3]]
    assert log.details.played_at_ms.tolist() == [0, 2 * MINUTE, MINUTE, 90 * MINUTE]
    assert log.details.skipped.tolist() == [1, UNKNOWN, UNKNOWN, 0]


def test_a_made_up_clock_tells_no_time():
    reported = Numbering().number(log_of(PLAYS, timed=False), 1800).details
    assert (reported.played_at_ms == UNKNOWN).all()
    assert reported.skipped.tolist() == [1, UNKNOWN, UNKNOWN, 0]
    silent = [(user, song, minute, None) for user, song, minute, _ in PLAYS]
    assert Numbering().number(log_of(silent, timed=False), 1800).details is NO_DETAILS


def test_predictions_know_them_of_the_session_and_of_the_history():
    numbering = Numbering()
    past = numbering.number(log_of(PLAYS), 1800)
    later = [("u", "c", 200, False), ("u", "new", 201, None), ("u", "a", 202, None)]
    judged = numbering.number(log_of(later), 1800)
    [_, last] = (Predictions.of(judged, 3, past=past).contexts.slice(i, i + 1) for i in (0, 1))
    assert last.sessions.values.tolist() == [3]  # the new song is not in the catalogue
    assert last.session_details.played_at_ms.tolist() == [200 * MINUTE]
    assert last.histories.values.tolist() == [1, 2, 3]
    assert last.history_details.played_at_ms.tolist() == [0, 2 * MINUTE, 90 * MINUTE]
    assert last.history_details.skipped.tolist() == [1, UNKNOWN, 0]


def test_live_and_offline_a_listener_is_known_by_the_same(tmp_path):
    rng = np.random.default_rng(2)
    minutes = np.cumsum(rng.choice([3, 4, 90, 1500], 40))
    rows = [
        (f"u{rng.integers(3)}", f"s{rng.integers(9)}", int(minute), [True, False, None][minute % 3])
        for minute in minutes
    ]
    numbering = Numbering()
    sessions = numbering.number(log_of(rows), 1800)
    nothing = SessionLog(Ragged.of([]), np.zeros(0, np.int64), np.zeros(0, np.int64))
    offline = Predictions.of(sessions, len(numbering.songs), past=nothing)
    store = HistoryStore(tmp_path)
    reported = store.append(
        [
            Play(str(place), user, song, minute * MINUTE, 0, place, skipped=skipped)
            for place, (user, song, minute, skipped) in enumerate(rows)
        ]
    )
    store.close()
    live = {}
    for one in reported:
        request = Request(one.session, (), one.history, one.session_details, one.history_details)
        live[one.play.user_id, one.play.played_at_ms] = contexts_of([request], numbering.songs)
    users = dict(enumerate(dict.fromkeys(user for user, *_ in rows)))
    assert len(offline) > 5
    for row, listener in enumerate(offline.listeners.tolist()):
        asked = offline.contexts.slice(row, row + 1)
        known = live[users[listener], int(asked.session_details.played_at_ms[-1])]
        for name in ("sessions", "histories"):
            assert getattr(known, name).values.tolist() == getattr(asked, name).values.tolist()
        for name in ("session_details", "history_details"):
            mine, theirs = getattr(known, name), getattr(asked, name)
            count = len(getattr(asked, "sessions" if "session" in name else "histories").values)
            mine, theirs = mine.filled(count), theirs.filled(count)
            assert mine.played_at_ms.tolist() == theirs.played_at_ms.tolist()
            assert mine.skipped.tolist() == theirs.skipped.tolist()
        np.testing.assert_array_equal(context_features(known), context_features(asked))
