"""Good rows from bad ones: every reader passes its rows through one Sieve."""

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
"""What no id may hold: the worker would reject the play."""


@dataclass(frozen=True)
class Check:
    """One demand on a row.

    good: Boolean; null counts as bad. tell: makes "field: reason (value)" of a bad row.
    """

    good: pl.Expr
    tell: Callable[[Mapping[str, Any]], str]


def demand(field: str, good: pl.Expr, reason: str, shown: str | None = None) -> Check:
    """Check one field; `shown` is the column whose value goes into the message."""
    return Check(good, lambda row: f"{field}: {reason} ({brief(row[shown or field])})")


def brief(value: object) -> str:
    """Write a value so that it fits a message and cannot harm a terminal."""
    text = "nothing" if value is None else str(value)
    cut = text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
    return repr(cut) if isinstance(value, str) else cut


def id_checks(column: str, field: str | None = None) -> list[Check]:
    """Demand what `stream.messages` demands of an id, so that every play read can be sent."""
    field = field or column
    ident = pl.col(column)
    return [
        demand(field, ident.str.len_bytes() > 0, "empty", column),
        demand(
            field,
            ident.str.len_bytes() <= MAX_ID_BYTES,
            f"longer than {MAX_ID_BYTES} bytes",
            column,
        ),
        demand(field, ~ident.str.contains(CONTROL_CHARACTERS), "holds a control character", column),
    ]


def time_check(field: str, layout: str, shown: str | None = None) -> Check:
    """Demand that `played_at_ms` was understood and lies between 1970 and year 9999."""
    good = pl.col("played_at_ms").is_between(0, MAX_EPOCH_MS)
    return demand(field, good, f"not {layout} between 1970 and 9999", shown)


class Sieve:
    """Keeps good rows, counts bad ones and describes the first of them.

    With `strict` the first bad row raises PlayLogError instead.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self.skipped_rows = 0
        self.problems: list[str] = []
        self.notes: list[str] = []

    def sift(self, path: Path, rows: pl.DataFrame, checks: Sequence[Check]) -> pl.DataFrame:
        """Give the rows that pass every check; rows: any columns, and "#line" (an integer).

        Of a bad row only the first failed check is told.
        """
        failed = pl.coalesce(
            pl.when(check.good.fill_null(False)).then(None).otherwise(pl.lit(number, pl.Int16))
            for number, check in enumerate(checks)
        )
        judged = rows.with_columns(failed.alias("#failed"))
        bad = judged.filter(pl.col("#failed").is_not_null())
        if not bad.is_empty():
            self._record(path, bad, checks)
        return judged.filter(pl.col("#failed").is_null()).drop("#failed")

    def _record(self, path: Path, bad: pl.DataFrame, checks: Sequence[Check]) -> None:
        self.skipped_rows += bad.height
        wanted = 1 if self.strict else max(0, KEPT_PROBLEMS - len(self.problems))
        self.problems += [
            f"{path}:{row['#line']}: {checks[row['#failed']].tell(row)}"
            for row in bad.head(wanted).iter_rows(named=True)
        ]
        if self.strict:
            raise PlayLogError(self.problems[0])
