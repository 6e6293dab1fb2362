"""What can be sent, under which name and at what pace; the sending is in test_produce."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from segue.offline.datasets.play_log import PLAYS_SCHEMA, PlayLog
from segue.offline.operations.producer import ProduceError, check_sendable, due_times, log_name


def test_due_times_follow_the_rate_or_the_recorded_times():
    at = np.array([5000, 5000, 9000], dtype=np.int64)
    assert due_times(at, rate=4, speed=None).tolist() == [0.0, 0.25, 0.5]
    assert due_times(at, rate=None, speed=8).tolist() == [0.0, 0.0, 0.5]
    assert due_times(at, rate=None, speed=None).tolist() == [0.0, 0.0, 0.0]


def test_a_log_without_order_is_refused():
    log = PlayLog(pl.DataFrame(schema=PLAYS_SCHEMA), format="counts", timed=False, ordered=False)
    with pytest.raises(ProduceError, match="'counts' has play counts, not plays"):
        check_sendable(log, None)


def test_a_log_without_times_has_no_recorded_speed():
    log = PlayLog(pl.DataFrame(schema=PLAYS_SCHEMA), format="sessions", timed=False)
    check_sendable(log, None)
    with pytest.raises(ProduceError, match="use --rate instead of --speed"):
        check_sendable(log, 2.0)


def test_a_log_is_named_after_its_file():
    assert log_name(Path("/logs/Plays of 2024.csv")) == "Plays_of_2024"
    assert len(log_name(Path("x" * 200))) == 64
