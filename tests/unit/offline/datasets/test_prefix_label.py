"""Test files of prefixes and labels: good rows, bad rows, and which rows belong together."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from segue.offline.datasets.readers import PlayLogError
from segue.offline.datasets.readers.prefix_label import looks_like_prefix_labels, read_prefix_labels
from tests.support.logs import write_lines


def test_prefix_and_label_are_read(tmp_path):
    read = read_prefix_labels(write_lines(tmp_path / "t.tsv", "1 2 3\t4", "9\t8"))
    assert read.rows.rows() == [(["1", "2", "3"], "4"), (["9"], "8")]
    assert (read.skipped_rows, read.problems) == (0, ())


def test_a_packed_file_is_read_as_it_is(tmp_path):
    path = tmp_path / "t.tsv.gz"
    path.write_bytes(gzip.compress(b"1 2\t3\n"))
    assert read_prefix_labels(path).rows.rows() == [(["1", "2"], "3")]


def test_bad_rows_are_left_out_counted_and_named(tmp_path):
    path = write_lines(
        tmp_path / "t.tsv", "1 2\t3", "1 2 3", "\t4", "5\t", "5\t6 7", "5\t6\t7", "8\t9"
    )
    read = read_prefix_labels(path)
    assert read.rows.rows() == [(["1", "2"], "3"), (["8"], "9")]
    assert read.skipped_rows == 5
    assert read.problems == (
        f"{path}:2: row: must have 2 fields between tabs (1)",
        f"{path}:3: prefix: no song ids ('')",
        f"{path}:4: label: empty ('')",
        f"{path}:5: label: more than one id ('6 7')",
        f"{path}:6: row: must have 2 fields between tabs (3)",
    )


def test_a_file_without_a_good_row_is_refused(tmp_path):
    path = write_lines(tmp_path / "t.tsv", "1 2 3")
    with pytest.raises(PlayLogError, match="not one of its 1 rows can be read as prefix-label"):
        read_prefix_labels(path)


def test_rows_that_go_on_with_each_other_are_one_session(tmp_path):
    falling = ["1 2 3\t4", "1 2\t3", "1\t2"]
    rising = ["5\t6", "5 6\t7"]
    alone = ["5 6\t8", "1 2\t3"]
    read = read_prefix_labels(write_lines(tmp_path / "t.tsv", *falling, *rising, *alone))
    assert read.sessions().to_list() == [0, 0, 0, 1, 1, 2, 3]


@pytest.mark.parametrize(
    ("line", "reported"),
    [("1 2\t3", True), ("1\t2", True), ("1 2 3", False), ("1\t2\t3", False), ("1\t2 3", False)],
)
def test_the_format_is_told_from_its_lines(line, reported, tmp_path):
    assert looks_like_prefix_labels(write_lines(tmp_path / "t.tsv", line, line)) is reported


@pytest.mark.data
def test_nowplaying(data_dir: Path):
    path = data_dir / "nowplaying" / "test_prefix_label.tsv.gz"
    assert looks_like_prefix_labels(path)
    read = read_prefix_labels(path)
    assert (read.rows.height, read.skipped_rows) == (89_824, 0)
    assert 14_000 < read.sessions().n_unique() < 14_480
