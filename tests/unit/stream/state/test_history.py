import pytest

from segue.stream.messages.events import Play
from segue.stream.state.config import HistoryConfig
from segue.stream.state.history import History, LogReplaced, decode_history, encode_history

MINUTE = 60_000
DAY = 86_400_000


def play(offset, song_id, played_at_ms=None):
    played_at_ms = offset * MINUTE if played_at_ms is None else played_at_ms
    return Play(f"e{offset}", "u", song_id, played_at_ms, 0, offset)


def history_of(plays, config):
    history = History()
    for one in plays:
        history.add(one, config)
    return history


def test_a_session_ends_where_the_gap_is_exceeded():
    config = HistoryConfig(session_gap_ms=30 * MINUTE)
    times = [0, 30, 61, 91]  # gaps of 30, 31 and 30 minutes
    history = history_of([play(i, f"s{i}", t * MINUTE) for i, t in enumerate(times)], config)
    assert history.session(3, config) == ["s2", "s3"]
    assert history.session(1, config) == ["s0", "s1"]


def test_a_session_is_told_as_it_was_at_each_play():
    config = HistoryConfig()
    history = history_of([play(i, f"s{i}") for i in range(5)], config)
    assert history.session(2, config) == ["s0", "s1", "s2"]


def test_a_late_report_goes_on_with_the_session():
    config = HistoryConfig(session_gap_ms=30 * MINUTE)
    late = [play(0, "a", 100 * MINUTE), play(1, "b", 10 * MINUTE), play(2, "c", 20 * MINUTE)]
    assert history_of(late, config).session(2, config) == ["a", "b", "c"]


def test_only_the_last_songs_of_a_long_session_are_given():
    config = HistoryConfig(session_max_songs=2)
    history = history_of([play(i, f"s{i}") for i in range(5)], config)
    assert history.session(4, config) == ["s3", "s4"]


def test_old_plays_go_by_count_and_by_age():
    config = HistoryConfig(max_songs=3, max_age_ms=10 * DAY)
    history = history_of([play(i, f"s{i}") for i in range(5)], config)
    assert history.songs == ["s2", "s3", "s4"]
    history.add(play(9, "new", 10 * DAY + 4 * MINUTE), config)
    assert history.songs == ["s4", "new"]  # exactly ten days are kept


def test_a_history_survives_the_store():
    config = HistoryConfig()
    history = history_of([play(0, "a"), play(1, "b")], config)
    history.skipped[0] = True
    assert decode_history(encode_history(history)) == history


def test_another_play_at_a_known_place_is_a_log_made_anew():
    config = HistoryConfig(max_songs=2)
    history = history_of([play(i, f"s{i}") for i in range(4)], config)
    history.check_holds(play(3, "s3"))
    history.check_holds(play(0, "s0"))  # over the bounds: nothing can be said
    with pytest.raises(LogReplaced, match=r"offset 3.*SEGUE_DATA_DIR"):
        history.check_holds(play(3, "another"))


@pytest.mark.parametrize("name", ["max_songs", "max_age_ms", "session_gap_ms", "session_max_songs"])
def test_bounds_must_be_positive(name):
    with pytest.raises(ValueError, match=name):
        HistoryConfig(**{name: 0})


def songs_of(stretches):
    return tuple(each.songs for each in stretches)


def test_what_stood_before_the_session_is_told_apart_and_no_more_than_surely_stays():
    # 6 plays an hour apart, and a session of the last two; room for 8 plays, 2 of a session.
    config = HistoryConfig(max_songs=8, session_max_songs=2, session_gap_ms=30 * MINUTE)
    times = [0, 60, 120, 180, 240, 250]
    history = history_of([play(i, f"s{i}", t * MINUTE) for i, t in enumerate(times)], config)
    assert config.earlier_songs == 3
    assert songs_of(history.split(5, config)) == (["s1", "s2", "s3"], ["s4", "s5"])
    assert songs_of(history.split(3, config)) == (["s0", "s1", "s2"], ["s3"])
    # A play that comes again finds what it found, though others have come since.
    for later in range(6, 9):
        history.add(play(later, f"s{later}", (300 + later) * MINUTE), config)
    assert songs_of(history.split(5, config)) == (["s1", "s2", "s3"], ["s4", "s5"])


def test_a_play_that_has_left_is_all_that_is_known_of_its_session():
    config = HistoryConfig(max_songs=2)
    plays = [play(i, f"s{i}") for i in range(5)]
    assert songs_of(history_of(plays, config).around(plays[0], config)) == ([], ["s0"])


def test_plays_come_with_their_times_and_skips():
    config = HistoryConfig(session_gap_ms=30 * MINUTE)
    history = History()
    for offset, (minute, skipped) in enumerate([(0, True), (60, None), (61, False)]):
        history.add(Play("e", "u", "s", minute * MINUTE, 0, offset, skipped=skipped), config)
    earlier, session = history.split(2, config)
    assert earlier.details == ([0], [True])
    assert session.details == ([60 * MINUTE, 61 * MINUTE], [None, False])
    gone = Play("e", "v", "s", 7, 0, 0, skipped=True)
    assert History().around(gone, config)[1].details == ([7], [True])
