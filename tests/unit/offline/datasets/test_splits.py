"""What is learned from and what is predicted, song by song; nothing leaks from one to the other."""

from __future__ import annotations

import pytest

from segue.offline.datasets.readers.prefix_label import read_prefix_labels
from segue.offline.datasets.sessions import MAX_SESSION
from segue.offline.datasets.splits import (
    Split,
    SplitError,
    by_time,
    k_fold,
    leave_last_out,
    split_by_log,
    split_by_rows,
    time_split,
    windows,
)
from tests.support.logs import lines_log, play_log

GAP_S = 1800.0


def learned(split: Split) -> list[list[str]]:
    return [split.catalogue.songs(session) for session in split.train.sessions]


def asked(split: Split) -> list[tuple[list[str], list[str], str | None]]:
    """Return each prediction's session, history and answer."""
    contexts, songs = split.predictions.contexts, split.catalogue
    return [
        (songs.songs(session), songs.songs(history), songs.song(answer) if answer else None)
        for session, history, answer in zip(
            contexts.sessions, contexts.histories, split.predictions.answers.tolist(), strict=True
        )
    ]


def test_every_play_of_a_test_log_but_the_first_of_a_session_is_predicted():
    train = play_log(("u", "1", 0, "ab"), ("v", "2", 100, "c"))
    test = play_log(("u", "3", 1000, "bxa"), ("w", "4", 2000, "cc"))
    split = split_by_log("test", train, test, GAP_S)
    assert learned(split) == [["a", "b"], ["c"]]
    assert asked(split) == [
        (["b"], ["a", "b"], None),
        (["b"], ["a", "b"], "a"),
        (["c"], [], "c"),
    ]
    assert split.predictions.positions.tolist() == [1, 2, 1]
    assert (split.to_ms, split.from_ms) == (100_000, 1_000_000)


def test_listeners_named_after_lines_have_no_history():
    split = split_by_log("test", lines_log("a b", "b c"), lines_log("a b", "c a"), GAP_S)
    assert asked(split) == [(["a"], [], "b"), (["c"], [], "a")]
    assert split.from_ms is None


def test_rows_of_a_test_file_are_predicted_one_by_one(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("a x b\tc\na x\tb\nx\ty\n", encoding="utf-8")
    split = split_by_rows("t", lines_log("a b c"), read_prefix_labels(path), GAP_S)
    assert asked(split) == [(["a", "b"], [], "c"), (["a"], [], "b"), ([], [], None)]
    assert split.predictions.positions.tolist() == [3, 2, 1]
    assert split.predictions.sessions.tolist() == [0, 0, 1]


def test_a_log_is_cut_into_three_by_time():
    log = play_log(("u", "1", 0, "abcdefghij"))
    parts = by_time(log, (0.6, 0.2, 0.2))
    assert ["".join(part.plays["song_id"]) for part in parts] == ["abcdef", "gh", "ij"]
    with pytest.raises(ValueError, match="add up to 1"):
        by_time(log, (0.6, 0.6))


def test_a_split_by_time_learns_only_from_what_came_before():
    log = play_log(("u", "1", 0, "abcd"), ("u", "2", 5000, "ab"), ("v", "3", 6000, "cdca"))
    split = time_split(log, GAP_S, 0.5)
    assert learned(split) == [["a", "b", "c", "d"], ["a"]]
    # The cut runs through u's second session, whose end has no play before it.
    assert asked(split) == [(["c"], [], "d"), (["c", "d"], [], "c"), (["c", "d", "c"], [], "a")]
    assert split.one_log
    assert split.to_ms is not None
    assert split.from_ms is not None
    assert split.to_ms < split.from_ms


def test_windows_slide_and_predict_no_play_twice():
    log = play_log(*(("u", str(n), 100 * n, "abcd") for n in range(30)))
    found = list(windows(log, GAP_S, 3, 0.25))
    assert [split.name for split in found] == [f"window {n} of 3" for n in (1, 2, 3)]
    spans = [(split.to_ms, split.from_ms) for split in found]
    assert all(to < start for to, start in spans if to is not None and start is not None)
    # 1 / (1 + 2 * 0.25) of 120 plays is 80 a window: 60 to learn from and 20 to predict.
    assert [len(split.train.sessions.values) for split in found] == [60, 60, 60]
    assert [len(split.predictions) for split in found] == [15, 15, 15]
    assert [start for _, start in spans] == [100_000 * n for n in (15, 20, 25)]


def test_the_last_play_of_each_listener_is_left_out():
    log = play_log(("u", "1", 0, "ab"), ("u", "2", 100, "c"), ("v", "3", 200, "abd"))
    split = leave_last_out(log, GAP_S)
    assert learned(split) == [["a", "b"], ["a", "b"]]
    # u's last session was that one play; v's last song is played by nobody else.
    assert asked(split) == [([], ["a", "b"], None), (["a", "b"], [], None)]
    assert split.predictions.positions.tolist() == [0, 2]


def test_without_listeners_the_last_play_of_each_session_is_left_out():
    split = leave_last_out(lines_log("a b c", "c", "c a"), GAP_S)
    assert learned(split) == [["a", "b"], ["c"], ["c"]]
    assert asked(split) == [(["a", "b"], [], "c"), (["c"], [], "a")]


def test_folds_predict_every_session_once_from_all_the_others():
    log = lines_log(*(f"a{n} b{n} c{n}" for n in range(10)))
    found = list(k_fold(log, GAP_S, 3, seed=1))
    assert sum(len(split.predictions) for split in found) == 20
    for split in found:
        assert len(split.train) + len(set(split.predictions.sessions)) == 10
        assert split.predictions.answers.max() == 0, "songs of other sessions only"
        assert len(split.catalogue) == 3 * len(split.train)
    assert asked(found[0]) == asked(next(iter(k_fold(log, GAP_S, 3, seed=1))))


def test_too_few_sessions_for_the_folds_are_refused():
    with pytest.raises(SplitError, match="2 sessions are too few for 5 folds"):
        list(k_fold(lines_log("a b", "b c"), GAP_S, 5, seed=0))


def test_sessions_of_one_song_hold_nothing_to_predict():
    with pytest.raises(SplitError, match="no song follows another"):
        split_by_log("test", lines_log("a b"), lines_log("a", "b"), GAP_S)


def test_plays_of_one_moment_cannot_be_parted():
    log = play_log(*((f"u{n}", f"{n}", 0, "a") for n in range(10)))
    with pytest.raises(SplitError, match="train part of the log has no plays"):
        time_split(log, GAP_S, 0.5)


def test_of_an_endless_session_only_the_last_plays_are_written_out():
    songs = [f"s{n}" for n in range(2 * MAX_SESSION)]
    split = split_by_log("test", lines_log(" ".join(songs)), lines_log(" ".join(songs)), GAP_S)
    assert len(split.predictions) == 2 * MAX_SESSION - 1
    sessions = split.predictions.contexts.sessions
    assert sessions[9].tolist() == list(range(1, 11))
    assert sessions[2 * MAX_SESSION - 2].tolist() == list(range(MAX_SESSION, 2 * MAX_SESSION))
    assert split.predictions.positions.max() == 2 * MAX_SESSION - 1
