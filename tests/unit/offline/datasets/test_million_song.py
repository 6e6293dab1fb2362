"""Play counts without order or times."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from segue.offline.datasets.play_log import PLAYS_SCHEMA
from segue.offline.datasets.readers import read_plays


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def test_a_triplet_is_one_row_with_its_count(tmp_path):
    log = read_plays(write(tmp_path / "t.tsv", "u\tSOA\t3", "u\tSOB\t1", "v\tSOA\t12"))
    assert log.plays.schema == pl.Schema({**PLAYS_SCHEMA, "count": pl.Int64})
    assert log.plays.select("user_id", "song_id", "count").rows() == [
        ("u", "SOA", 3),
        ("u", "SOB", 1),
        ("v", "SOA", 12),
    ]
    assert log.plays["played_at_ms"].n_unique() == 1
    assert (log.timed, log.ordered) == (False, False)


@pytest.mark.parametrize("count", ["0", "-1", "1.5", "many", ""])
def test_a_count_that_is_none_is_a_bad_row(count, tmp_path):
    path = write(tmp_path / "t.tsv", "u\tSOA\t3", f"u\tSOB\t{count}")
    assert read_plays(path).problems == (f"{path}:2: count: not a whole number from 1 ({count!r})",)
