"""Test files of next songs: the beginning of a session, and the song that followed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from segue.offline.datasets.play_log import PlayLogError
from segue.offline.datasets.readers.text import read_head, read_table
from segue.offline.datasets.readers.validation import Check, Validation, id_checks, require
from segue.stream.messages.events import MAX_ID_BYTES

COLUMNS = ("prefix", "label")
EXAMPLE = "58991\t42356\t33620"


@dataclass(frozen=True)
class PrefixLabels:
    """Rows of a test file in its order.

    rows: prefix (a list of song ids, oldest first, at least one) and label (String).
    skipped_rows, problems: as in PlayLog.
    """

    rows: pl.DataFrame
    skipped_rows: int = 0
    problems: tuple[str, ...] = ()

    def sessions(self) -> pl.Series:
        """Return the session of each row, numbered from 0 (Int64).

        Such files are made by cutting a session at every position. So a row whose prefix is
        the whole previous row, label included, or the other way round, continues its session.
        """
        whole = pl.concat_list("prefix", pl.concat_list("label"))
        shorter = (whole == pl.col("prefix").shift(1)).fill_null(False)
        longer = (pl.col("prefix") == whole.shift(1)).fill_null(False)
        new = ~(shorter | longer)
        return self.rows.select(new.cum_sum().cast(pl.Int64).alias("session") - 1)["session"]


def read_prefix_labels(path: Path, *, strict: bool = False) -> PrefixLabels:
    """Read song ids between spaces, a tab, and the next song; gzip or not, no header.

    Bad rows are skipped, counted and described as in `read_plays`. Raises PlayLogError where
    the file is absent, empty, or without a single good row.
    """
    if not path.is_file():
        raise PlayLogError(f"{path}: no such file")
    validation = Validation(strict=strict)
    rows = read_table(path, "\t", COLUMNS).with_columns(
        pl.col("prefix").str.extract_all("[^ ]+").alias("songs")
    )
    rows = validation.keep_good(path, rows, _checks())
    if rows.is_empty():
        raise PlayLogError(
            f"{path}: not one of its {validation.skipped_rows} rows can be read as prefix-label, "
            f"which has lines like {EXAMPLE!r}; the first is {validation.problems[0]}"
        )
    rows = rows.select(pl.col("songs").alias("prefix"), "label")
    return PrefixLabels(rows, validation.skipped_rows, tuple(validation.problems))


def looks_like_prefix_labels(path: Path) -> bool:
    """Detect from a file's first lines: two fields with a tab, the second without a space."""
    if not path.is_file():
        return False
    rows = [line.split("\t") for line in read_head(path)[:-1] or read_head(path)]
    return bool(rows) and all(len(row) == len(COLUMNS) and " " not in row[1] for row in rows)


def _checks() -> list[Check]:
    longest = pl.col("songs").list.eval(pl.element().str.len_bytes()).list.max()
    fields = pl.col("#fields") == len(COLUMNS)
    return [
        require("row", fields, "must have 2 fields between tabs", "#fields"),
        require("prefix", pl.col("songs").list.len() > 0, "no song ids"),
        require("prefix", longest <= MAX_ID_BYTES, f"an id over {MAX_ID_BYTES} bytes"),
        *id_checks("label"),
        require("label", ~pl.col("label").str.contains(" "), "more than one id"),
    ]
