"""Where sending a play log goes on."""

import pytest

from segue.offline.operations.producer import Position, PositionError


def test_positions_differ_by_log_and_topic(tmp_path):
    files = {
        Position.file(tmp_path, tmp_path / log, topic)
        for log in ("a.csv", "b.csv")
        for topic in ("plays", "others")
    }
    assert len(files) == 4
    again = Position.file(tmp_path, tmp_path / "nowhere" / ".." / "a.csv", "plays")
    assert again in files


def test_a_position_is_found_again(tmp_path):
    file = tmp_path / "produce" / "x.json"
    Position(3, 10, shift_ms=5).save(file)
    assert Position.load(file, plays=10) == Position(3, 10, shift_ms=5)
    assert [kept.name for kept in file.parent.iterdir()] == ["x.json"]


def test_a_position_of_another_log_is_refused(tmp_path):
    file = tmp_path / "x.json"
    with pytest.raises(PositionError, match="this log was not sent before"):
        Position.load(file, plays=10)
    Position(3, 10).save(file)
    with pytest.raises(PositionError, match="had 10 plays when it was sent and has 9 now"):
        Position.load(file, plays=9)
    file.write_text('{"delivered": 3')
    with pytest.raises(PositionError, match="cannot be read"):
        Position.load(file, plays=10)
