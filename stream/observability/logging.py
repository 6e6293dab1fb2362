"""How a process writes its log: for eyes, or one JSON object a line for machines."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from traceback import format_exception
from typing import Any

from segue.models.errors import SegueError
from segue.stream.config.settings import Settings

logger = logging.getLogger(__name__)
CONSOLE = "[%(asctime)s] [%(process)d] [%(levelname)s] %(message)s"
FIELDS = (
    *("partition", "offset", "end", "event_id", "reason", "plays"),
    *("model", "seconds", "trace_id", "span_id"),
)
"""The fields that a line may have besides its message, so that nothing else slips into a log."""


def configure_logging(settings: Settings) -> None:
    """Write what all loggers of this process say to stdout, Faust's and the clients' included."""
    handler = _Stdout()
    formatter = JsonLines() if settings.log_format == "json" else logging.Formatter(CONSOLE)
    handler.setFormatter(formatter)
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    logging.captureWarnings(True)


@contextmanager
def last_words(settings: Settings) -> Iterator[None]:
    """Where machines read the log, write what ends the process as a line of it, too."""
    try:
        yield
    except SegueError as error:
        if settings.log_format != "json":
            raise
        logger.critical("%s", error)
        raise SystemExit(1) from error


class _Stdout(logging.Handler):
    """Writes to whatever stdout is at the time, a line at once."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), flush=True)
        except Exception:
            self.handleError(record)


class JsonLines(logging.Formatter):
    """One JSON object a line: time in UTC, level, logger, process, message, fields, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one line, whatever is in the message."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        line |= {name: vars(record)[name] for name in FIELDS if name in vars(record)}
        if record.exc_info and record.exc_info[0] is not None:
            kind, error, _ = record.exc_info
            line["exception"] = {
                "type": f"{kind.__module__}.{kind.__qualname__}",
                "message": str(error),
                "notes": list(getattr(error, "__notes__", ())),
                "stack": "".join(format_exception(error)),
            }
        return json.dumps(line, ensure_ascii=False, default=str)
