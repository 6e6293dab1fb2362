"""Spotify: an array of streams, each reported at its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from segue.offline.datasets.readers import PlayLogError, read_plays
from segue.offline.datasets.readers.columns import song_id_of

MIDNIGHT_MS = 1_704_067_200_000  # 2024-01-01T00:00:00Z


def stream(
    ts: str = "2024-01-01T00:03:00Z", uri: str | None = "spotify:track:1", **more: Any
) -> Any:
    return {
        "ts": ts,
        "ms_played": 180_000,
        "master_metadata_track_name": "Spoon",
        "master_metadata_album_artist_name": "Can",
        "master_metadata_album_album_name": "Ege Bamyasi",
        "spotify_track_uri": uri,
        "reason_end": "trackdone",
        "skipped": False,
    } | more


PODCAST = stream(uri=None, master_metadata_track_name=None, episode_name="About Can")


def write(path: Path, *streams: Any, indent: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(streams, indent=indent), encoding="utf-8")
    return path


def test_a_play_begins_its_length_before_its_end(tmp_path):
    log = read_plays(write(tmp_path / "rj" / "history.json", stream()))
    assert log.plays.rows() == [("rj", None, "spotify:track:1", MIDNIGHT_MS, 180_000, False)]
    assert log.songs.rows() == [("spotify:track:1", "Spoon", "Can", "Ege Bamyasi")]


def test_plays_are_in_the_order_of_their_beginnings_not_their_ends(tmp_path):
    first = stream("2024-01-01T00:00:01Z", "spotify:track:short", ms_played=1000)
    second = stream("2024-01-01T00:03:00Z", "spotify:track:long", ms_played=180_001)
    log = read_plays(write(tmp_path / "history.json", first, second))
    assert log.plays["song_id"].to_list() == ["spotify:track:long", "spotify:track:short"]
    assert log.plays["played_at_ms"].to_list() == [MIDNIGHT_MS - 1, MIDNIGHT_MS]


def test_podcasts_are_left_out_with_a_note_and_are_no_bad_rows(tmp_path):
    log = read_plays(write(tmp_path / "history.json", PODCAST, stream(), PODCAST))
    assert (log.plays.height, log.skipped_rows) == (1, 0)
    assert log.notes == ("left out 2 entries that are no songs, such as podcasts",)


def test_a_song_without_uri_gets_an_id_made_of_its_names(tmp_path):
    log = read_plays(write(tmp_path / "history.json", stream(uri=None)))
    assert log.plays["song_id"].to_list() == [song_id_of("Can", "Spoon")]


@pytest.mark.parametrize(
    ("skipped", "reason", "expected"),
    [
        (True, "trackdone", True),
        (False, "fwdbtn", False),
        (None, "fwdbtn", True),
        (None, "trackdone", False),
        (None, "logout", None),
        (None, None, None),
    ],
)
def test_skips_are_taken_or_told_from_the_reason(skipped, reason, expected, tmp_path):
    path = write(tmp_path / "history.json", stream(skipped=skipped, reason_end=reason))
    assert read_plays(path).plays["skipped"].to_list() == [expected]


def test_username_goes_before_the_directory(tmp_path):
    log = read_plays(write(tmp_path / "history.json", stream(username="someone")))
    assert log.plays["user_id"].to_list() == ["someone"]


def test_a_directory_is_read_by_its_audio_files_alone(tmp_path):
    write(tmp_path / "rj" / "Streaming_History_Audio_2023_0.json", stream())
    write(tmp_path / "rj" / "Streaming_History_Audio_2024_1.json", stream("2024-02-01T00:00:00Z"))
    write(tmp_path / "rj" / "Streaming_History_Video_2023.json", stream("2024-03-01T00:00:00Z"))
    log = read_plays(tmp_path / "rj")
    assert (log.format, log.plays.height) == ("spotify", 2)
    assert log.plays["user_id"].unique().to_list() == ["rj"]


@pytest.mark.parametrize(("indent", "line"), [(None, 1), (2, 12)])
def test_a_bad_entry_is_told_with_its_number_and_physical_line(indent, line, tmp_path):
    path = write(
        tmp_path / "history.json", stream(), stream(ts="yesterday"), stream(), indent=indent
    )
    log = read_plays(path)
    assert (log.plays.height, log.skipped_rows) == (2, 1)
    [problem] = log.problems
    assert problem.startswith(f"{path}:{line}: [1].ts: Invalid RFC3339")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (stream(ms_played=-1), "[1].ms_played: Expected `int` >= 0"),
        (stream(ts="2024-01-01T00:03:00"), "[1].ts: Expected `datetime` with a timezone component"),
        (stream(ts="1970-01-01T00:00:01Z"), "ts: the song began before 1970 (-179000)"),
        (
            stream(uri=None, master_metadata_album_artist_name=None),
            "master_metadata_track_name: no",
        ),
        (7, "[1]: Expected `object`, got `int`"),
    ],
)
def test_what_is_wrong_with_an_entry_is_told(entry, problem, tmp_path):
    [reported] = read_plays(write(tmp_path / "history.json", stream(), entry)).problems
    assert reported.split(":1: ", 1)[1].startswith(problem)


@pytest.mark.parametrize("text", ['{"ts": 1}', "[{]", '[{"ts": 1}', "plain"])
def test_what_is_no_array_is_refused(text, tmp_path):
    path = tmp_path / "history.json"
    path.write_text(text)
    with pytest.raises(PlayLogError, match="not a JSON array of streams"):
        read_plays(path, "spotify")


def test_an_export_of_podcasts_alone_holds_no_plays(tmp_path):
    with pytest.raises(PlayLogError, match="holds no plays"):
        read_plays(write(tmp_path / "history.json", PODCAST))


def test_a_directory_without_audio_files_is_refused(tmp_path):
    with pytest.raises(PlayLogError, match="no Streaming_History_Audio"):
        read_plays(tmp_path, "spotify")
