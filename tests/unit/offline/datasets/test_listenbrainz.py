"""ListenBrainz: JSON lines of one file, and an unpacked export."""

from __future__ import annotations

import json

import pytest

from segue.offline.datasets.readers import PlayLogError, read_plays
from segue.offline.datasets.readers.columns import song_id_of
from tests.support.logs import write_lines


def listen(at: object, title: object = "Spoon", **more: object) -> str:
    track = {"artist_name": "Can", "track_name": title, "release_name": "Ege Bamyasi"} | more
    return json.dumps({"listened_at": at, "track_metadata": track})


def test_a_song_is_its_recording_else_the_mapped_one_else_made_of_names(tmp_path):
    path = write_lines(
        tmp_path / "rj.jsonl",
        listen(1, additional_info={"recording_mbid": "m1"}, mbid_mapping={"recording_mbid": "x"}),
        listen(2.5, additional_info={"recording_mbid": ""}, mbid_mapping={"recording_mbid": "m2"}),
        listen(3, mbid_mapping=None),
    )
    log = read_plays(path)
    made = song_id_of("Can", "Spoon")
    assert log.plays.rows() == [
        ("rj", None, "m1", 1000, None, None),
        ("rj", None, "m2", 2500, None, None),
        ("rj", None, made, 3000, None, None),
    ]
    assert log.songs.row(0) == ("m1", "Spoon", "Can", "Ege Bamyasi")


def test_user_name_goes_before_the_file_name(tmp_path):
    named = json.dumps(json.loads(listen(1)) | {"user_name": "someone"})
    path = write_lines(tmp_path / "rj.jsonl", named, listen(2))
    assert read_plays(path).plays["user_id"].to_list() == ["someone", "rj"]


def test_an_unpacked_export_is_one_account(tmp_path):
    write_lines(tmp_path / "user.json", '{"user_id": 5, "username": "someone"}')
    write_lines(tmp_path / "feedback.jsonl", '{"recording_msid": "x", "score": 1}')
    write_lines(tmp_path / "listens" / "2023" / "11.jsonl", listen(20, "b"))
    write_lines(tmp_path / "listens" / "2023" / "2.jsonl", listen(10, "a"))
    write_lines(tmp_path / "listens" / "2024" / "1.jsonl", listen(30, "c"))
    log = read_plays(tmp_path)
    assert log.format == "listenbrainz"
    assert log.plays["user_id"].unique().to_list() == ["someone"]
    assert log.songs["title"].to_list() == ["a", "b", "c"]


def test_an_export_without_user_json_is_named_after_its_directory(tmp_path):
    write_lines(tmp_path / "rj" / "1.jsonl", listen(20))
    assert read_plays(tmp_path / "rj").plays["user_id"].to_list() == ["rj"]


def test_an_export_whose_account_cannot_be_read_is_refused(tmp_path):
    write_lines(tmp_path / "user.json", "{}")
    write_lines(tmp_path / "1.jsonl", listen(20))
    with pytest.raises(PlayLogError, match=r"user\.json: .*username"):
        read_plays(tmp_path)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (listen("now"), "listened_at: Expected `float`, got `str`"),
        (listen(None), "listened_at: Expected `float`, got `null`"),
        (listen(-5), "listened_at: not Unix seconds between 1970 and 9999 (-5.0)"),
        (listen(10**400), "listened_at: Number out of range"),
        (listen(1, 7), "track_metadata.track_name: Expected `str | null`, got `int`"),
        ('{"listened_at": 1}', "row: Object missing required field `track_metadata`"),
        (listen(1)[:20], "row: Input data was truncated"),
        ("[]", "row: Expected `object`, got `array`"),
        (listen(1, ""), "track_name: no recording_mbid, and not both an artist and a title"),
    ],
)
def test_a_bad_line_is_told_with_its_number(line, problem, tmp_path):
    path = write_lines(tmp_path / "rj.jsonl", listen(1), "", line, listen(2))
    log = read_plays(path)
    assert log.plays.height == 2
    [reported] = log.problems
    assert reported.startswith(f"{path}:3: {problem}")


def test_bytes_that_are_not_utf8_spoil_their_line_alone(tmp_path):
    path = write_lines(tmp_path / "rj.jsonl", listen(1))
    with path.open("ab") as file:
        file.write(listen(2, "caf#").replace("#", "\xe9").encode("latin1") + b"\n")
    log = read_plays(path)
    assert (log.plays.height, log.skipped_rows) == (1, 1)
    assert "can't decode byte" in log.problems[0]


def test_problems_of_every_kind_come_in_the_order_of_their_lines(tmp_path):
    path = write_lines(tmp_path / "rj.jsonl", listen(1), listen(-5), listen("x"), listen(2, ""))
    lines = [problem.split(":")[1] for problem in read_plays(path).problems]
    assert lines == ["2", "3", "4"]
    with pytest.raises(PlayLogError, match=r"rj\.jsonl:2: "):
        read_plays(path, strict=True)
