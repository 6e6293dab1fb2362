"""How far a play log has been sent: what `segue produce --resume` goes on from."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from models.errors import SegueError


class PositionError(SegueError):
    """There is no position to go on from, or it belongs to another log."""


@dataclass
class Position:
    """How far one log has been sent to one topic.

    delivered: rows confirmed by the broker. plays: rows in the log, to notice another file.
    shift_ms: added to every play's time, the same after every resumption.
    """

    delivered: int
    plays: int
    shift_ms: int = 0

    @staticmethod
    def file(data_dir: Path, log: Path, topic: str) -> Path:
        """Name the file that keeps the position of one log in one topic."""
        name = hashlib.sha256(f"{log.resolve()}\0{topic}".encode()).hexdigest()[:16]
        return data_dir / "produce" / f"{name}.json"

    @classmethod
    def load(cls, file: Path, plays: int) -> Position:
        """Read where to go on in a log of `plays` rows. Raises PositionError where it cannot."""
        try:
            position = cls(**json.loads(file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise PositionError("nothing of this log was sent: leave out --resume") from None
        except (ValueError, TypeError) as error:
            raise PositionError(f"{file}: cannot be read ({error}): leave out --resume") from error
        if position.plays != plays:
            raise PositionError(
                f"the log had {position.plays} plays when it was sent and has {plays} now: "
                "leave out --resume"
            )
        return position

    def save(self, file: Path) -> None:
        """Write atomically: a crash leaves the position before or this one."""
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self)), encoding="utf-8")
        os.replace(fresh, file)
