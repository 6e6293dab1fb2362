"""The log for machines: every line is one JSON object, and says what it should and no more."""

from __future__ import annotations

import json
import logging
import warnings

import pytest

from segue.models.errors import SegueError
from segue.stream.config.settings import load_settings
from segue.stream.observability.logging import JsonLines, configure_logging, last_words


@pytest.fixture
def lines(capsys):
    """Write as JSON, and give what was written, parsed line by line."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    configure_logging(load_settings(log_format="json", log_level="DEBUG"))

    def read():
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    yield read
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    logging.captureWarnings(False)


def test_a_line_tells_when_who_what_and_where(lines):
    logger = logging.getLogger("segue.stream.worker.processor")
    logger.info("Rebuilding\n%s", "über", extra={"partition": 3, "offset": 7, "password": "x"})
    [line] = lines()
    assert line.pop("time").endswith("Z")
    assert line.pop("process") > 0
    assert line == {
        "level": "INFO",
        "logger": "segue.stream.worker.processor",
        "message": "Rebuilding\nüber",
        "partition": 3,
        "offset": 7,
    }


def test_an_exception_is_a_field_with_its_notes(lines):
    try:
        raise ValueError("no\nsuch song")
    except ValueError as error:
        error.add_note("in the batch of partition 0 from offset 5 to 9")
        logging.getLogger("x").exception("A batch failed")
    [line] = lines()
    assert line["message"] == "A batch failed"
    assert line["exception"]["type"] == "builtins.ValueError"
    assert line["exception"]["message"] == "no\nsuch song"
    assert line["exception"]["notes"] == ["in the batch of partition 0 from offset 5 to 9"]
    assert line["exception"]["stack"].startswith("Traceback")


def test_warnings_and_what_ends_the_process_are_lines_too(lines):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", stacklevel=1)
    with pytest.raises(SystemExit) as ended, last_words(load_settings(log_format="json")):
        raise SegueError("topic 'plays' is missing")
    assert ended.value.code == 1
    reported = [(line["level"], line["logger"], line["message"]) for line in lines()]
    assert reported[0][:2] == ("WARNING", "py.warnings")
    assert reported[1] == (
        "CRITICAL",
        "segue.stream.observability.logging",
        "topic 'plays' is missing",
    )


def test_for_eyes_the_error_goes_on_to_the_command_line():
    with pytest.raises(SegueError), last_words(load_settings()):
        raise SegueError("topic 'plays' is missing")


def test_what_is_no_json_is_written_as_text():
    record = logging.LogRecord("x", logging.INFO, "", 0, "m", (), None)
    record.reason = b"\xff"
    assert json.loads(JsonLines().format(record))["reason"] == "b'\\xff'"
