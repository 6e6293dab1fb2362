"""Validation of rows: every reader passes its rows through one `Validation`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from segue.offline.datasets.play_log import PlayLogError
from segue.stream.messages.events import MAX_EPOCH_MS, MAX_ID_BYTES

KEPT_PROBLEMS = 5
SHOWN_CHARACTERS = 60
CONTROL_CHARACTERS = "[\x00-\x1f\x7f-\x9f\u2028\u2029]"
"""Not allowed in ids: a worker would reject the play."""


@dataclass(frozen=True)
class Check:
    """One condition for a row.

    good: Boolean; null counts as bad. describe: returns "field: reason (value)" of a bad row.
    """

    good: pl.Expr
    describe: Callable[[Mapping[str, Any]], str]


def require(field: str, good: pl.Expr, reason: str, shown: str | None = None) -> Check:
    """Require a condition of one field; `shown` is the column whose value the message shows."""
    return Check(good, lambda row: f"{field}: {reason} ({brief(row[shown or field])})")


def brief(value: object) -> str:
    """Format a value for a message: cut to length, safe for a terminal."""
    text = "nothing" if value is None else str(value)
    cut = text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
    return repr(cut) if isinstance(value, str) else cut


def id_checks(column: str, field: str | None = None) -> list[Check]:
    """Require what `stream.messages` requires of an id, so that every play read can be sent."""
    field = field or column
    ident = pl.col(column)
    return [
        require(field, ident.str.len_bytes() > 0, "empty", column),
        require(
            field,
            ident.str.len_bytes() <= MAX_ID_BYTES,
            f"longer than {MAX_ID_BYTES} bytes",
            column,
        ),
        require(
            field, ~ident.str.contains(CONTROL_CHARACTERS), "holds a control character", column
        ),
    ]


def time_check(field: str, layout: str, shown: str | None = None) -> Check:
    """Require that `played_at_ms` was parsed and lies between 1970 and year 9999."""
    good = pl.col("played_at_ms").is_between(0, MAX_EPOCH_MS)
    return require(field, good, f"not {layout} between 1970 and 9999", shown)


class Validation:
    """Keeps good rows, counts bad ones and describes the first of them.

    skipped_rows: bad rows so far; problems: descriptions of the first; notes: for the user.

    With `strict` the first bad row raises PlayLogError instead.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self.skipped_rows = 0
        self.problems: list[str] = []
        self.notes: list[str] = []

    def keep_good(self, path: Path, rows: pl.DataFrame, checks: Sequence[Check]) -> pl.DataFrame:
        """Return the rows that pass every check; rows: any columns, and "#line" (an integer).

        A bad row is described by its first failed check.
        """
        failed = pl.coalesce(
            pl.when(check.good.fill_null(False)).then(None).otherwise(pl.lit(number, pl.Int16))
            for number, check in enumerate(checks)
        )
        checked = rows.with_columns(failed.alias("#failed"))
        bad = checked.filter(pl.col("#failed").is_not_null())
        if not bad.is_empty():
            self._record(path, bad, checks)
        return checked.filter(pl.col("#failed").is_null()).drop("#failed")

    def _record(self, path: Path, bad: pl.DataFrame, checks: Sequence[Check]) -> None:
        self.skipped_rows += bad.height
        limit = 1 if self.strict else max(0, KEPT_PROBLEMS - len(self.problems))
        self.problems += [
            f"{path}:{row['#line']}: {checks[row['#failed']].describe(row)}"
            for row in bad.head(limit).iter_rows(named=True)
        ]
        if self.strict:
            raise PlayLogError(self.problems[0])
