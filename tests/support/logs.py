"""Small play logs, written down play by play."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from segue.offline.datasets.play_log import PLAYS_SCHEMA, PlayLog


def play_log(*sessions: tuple[str, str, int, Sequence[str]], timed: bool = True) -> PlayLog:
    """Make a log of (user, session, first second, songs), a song every ten seconds."""
    plays = [
        (user, session, song, 1000 * (second + 10 * place), None, None)
        for user, session, second, songs in sessions
        for place, song in enumerate(songs)
    ]
    table = pl.DataFrame(plays, schema=PLAYS_SCHEMA, orient="row")
    return PlayLog(table.sort("played_at_ms", maintain_order=True), timed=timed)


def lines_log(*lines: str) -> PlayLog:
    """Make a log of lines of song ids, each a listener and a session of its own."""
    named = [(f"s{number}", line.split()) for number, line in enumerate(lines)]
    return play_log(
        *((name, name, 1000 * number, songs) for number, (name, songs) in enumerate(named)),
        timed=False,
    )


def write_lines(path: Path, *lines: str) -> Path:
    """Write a text file, with the directories that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path
