"""The readers on the makers' own files, against the makers' own counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from segue.offline.datasets.readers import PlayLogError, read_plays

pytestmark = pytest.mark.data


def test_30music(data_dir: Path):
    log = read_plays(data_dir / "30music" / "window0.tsv")
    assert (log.format, log.plays.height, log.skipped_rows) == ("30music", 23_718, 0)
    assert log.plays["user_id"].n_unique() == 932
    assert log.songs.height == log.plays["song_id"].n_unique() == 16_305


def test_yes_com(data_dir: Path):
    log = read_plays(data_dir / "yes_small" / "train.txt")
    sessions = log.sessions(gap_s=1)
    assert (log.format, log.songs.height, len(sessions)) == ("yes", 3_168, 41_480)
    assert sum(len(session) - 1 for session in sessions) == 134_431
    assert log.songs.row(0, named=True)["artist"] is not None
    assert not log.songs["title"].str.contains("\\", literal=True).any()


def test_nowplaying(data_dir: Path):
    log = read_plays(data_dir / "nowplaying" / "train_sessions.txt.gz")
    assert (log.format, log.plays.height) == ("sessions", 953_381)
    assert log.plays["session_id"].n_unique() == 128_077
    assert log.plays["song_id"].n_unique() == 60_416


def test_prefixes_with_labels_are_no_sessions(data_dir: Path):
    with pytest.raises(PlayLogError, match="not one of its 89824 rows"):
        read_plays(data_dir / "nowplaying" / "test_prefix_label.tsv.gz", "sessions")


def test_taste_profile(data_dir: Path):
    log = read_plays(data_dir / "msd_taste_profile" / "msdc_visible_union.tsv")
    assert (log.format, log.plays.height) == ("msd-triplets", 9_111)
    assert log.plays["user_id"].n_unique() == 678
    assert log.plays["song_id"].n_unique() == 6_842


def test_hetrec2011(data_dir: Path):
    log = read_plays(data_dir / "hetrec2011" / "user_artists.dat")
    assert (log.format, log.plays.height, log.skipped_rows) == ("hetrec2011", 92_834, 0)
    assert log.plays["user_id"].n_unique() == 1_892
    assert log.plays["song_id"].n_unique() == len(log.titles()) == 17_632


def test_lastfm_seq(data_dir: Path):
    log = read_plays(data_dir / "lastfm_seq" / "LastFM.txt", "lastfm-seq")
    assert (log.plays.height, log.skipped_rows) == (52_551, 0)
    assert log.plays["user_id"].n_unique() == len(log.sessions(gap_s=1)) == 1_090
    assert log.plays["song_id"].n_unique() == 3_646


def test_what_names_no_format_is_not_taken_for_one(data_dir: Path):
    with pytest.raises(PlayLogError, match="cannot detect the format"):
        read_plays(data_dir / "lastfm_seq" / "LastFM.txt")
