"""PlayLog: where it is cut in time, and where one session ends and the next begins."""

from __future__ import annotations

import polars as pl
import pytest

from segue.offline.datasets.play_log import PLAYS_SCHEMA, PlayLog, PlayLogError

Row = tuple[str, str | None, str, int]


def log(*rows: Row, ordered: bool = True) -> PlayLog:
    """Make a log of (user, session, song, second)."""
    full = [(user, session, song, s * 1000, None, None) for user, session, song, s in rows]
    return PlayLog(pl.DataFrame(full, schema=PLAYS_SCHEMA, orient="row"), ordered=ordered)


def seconds(part: PlayLog) -> list[int]:
    return [ms // 1000 for ms in part.plays["played_at_ms"]]


def one_user(*at: int) -> PlayLog:
    return log(*[("u", None, f"song{number}", second) for number, second in enumerate(at)])


def test_split_gives_the_first_fraction_by_time():
    first, rest = one_user(1, 2, 3, 4, 5, 6, 7, 8, 9, 10).split_by_time(0.8)
    assert seconds(first) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert seconds(rest) == [9, 10]


def test_split_never_parts_a_millisecond():
    first, rest = one_user(1, 2, 5, 5, 5, 5, 5, 9).split_by_time(0.5)
    assert seconds(first) == [1, 2]
    assert seconds(rest) == [5, 5, 5, 5, 5, 9]


def test_split_of_plays_at_one_moment_leaves_the_first_part_empty():
    first, rest = one_user(5, 5, 5).split_by_time(0.9)
    assert (first.plays.height, rest.plays.height) == (0, 3)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_split_refuses_what_is_no_fraction(fraction):
    with pytest.raises(ValueError, match="between 0 and 1"):
        one_user(1, 2).split_by_time(fraction)


def test_parts_keep_what_the_log_is_but_not_its_bad_rows():
    whole = PlayLog(one_user(1, 2).plays, format="yes", timed=False, skipped_rows=3, notes=("n",))
    first, _ = whole.split_by_time(0.5)
    assert (first.format, first.timed, first.notes, first.skipped_rows) == ("yes", False, ("n",), 0)


def test_a_gap_of_just_the_limit_does_not_cut():
    assert one_user(0, 1800).sessions(gap_s=1800) == [["song0", "song1"]]
    assert one_user(0, 1801).sessions(gap_s=1800) == [["song0"], ["song1"]]


def test_gaps_are_counted_within_one_user():
    plays = log(
        ("a", None, "a1", 0), ("b", None, "b1", 100), ("a", None, "a2", 150), ("b", None, "b2", 400)
    )
    assert plays.sessions(gap_s=200) == [["a1", "a2"], ["b1"], ["b2"]]


def test_source_sessions_hold_across_gaps_and_cut_without_one():
    plays = log(("u", "x", "1", 0), ("u", "x", "2", 9000), ("u", "y", "3", 9001))
    assert plays.sessions(gap_s=60) == [["1", "2"], ["3"]]


def test_source_sessions_side_by_side_are_not_torn():
    plays = log(
        ("u", "phone", "p1", 0),
        ("u", "home", "h1", 1),
        ("u", "phone", "p2", 2),
        ("u", "home", "h2", 3),
    )
    assert plays.sessions(gap_s=60) == [["p1", "p2"], ["h1", "h2"]]


def test_one_session_id_of_two_users_is_two_sessions():
    plays = log(("a", "1", "a1", 0), ("b", "1", "b1", 1), ("a", "1", "a2", 2))
    assert plays.sessions(gap_s=60) == [["a1", "a2"], ["b1"]]


def test_plays_without_session_id_are_cut_at_gaps_beside_those_with_one():
    plays = log(
        ("u", None, "n1", 0), ("u", "x", "x1", 10), ("u", None, "n2", 20), ("u", None, "n3", 500)
    )
    assert plays.sessions(gap_s=60) == [["n1", "n2"], ["x1"], ["n3"]]


def test_sessions_come_in_the_order_of_their_first_play():
    plays = log(("z", None, "z1", 0), ("a", None, "a1", 5), ("m", None, "m1", 7))
    assert plays.sessions(gap_s=60) == [["z1"], ["a1"], ["m1"]]


def test_a_log_without_plays_has_no_sessions_and_empty_parts():
    empty = log()
    assert empty.sessions(gap_s=60) == []
    assert [part.plays.height for part in empty.split_by_time(0.5)] == [0, 0]


@pytest.mark.parametrize("gap_s", [0, -1, float("nan")])
def test_a_gap_must_be_positive(gap_s):
    with pytest.raises(ValueError, match="gap_s must be > 0"):
        one_user(1).sessions(gap_s)


def test_counts_without_order_are_neither_cut_nor_split():
    counts = log(("u", None, "s", 0), ordered=False)
    with pytest.raises(PlayLogError, match="split into sessions"):
        counts.sessions(gap_s=60)
    with pytest.raises(PlayLogError, match="split by time"):
        counts.split_by_time(0.5)
