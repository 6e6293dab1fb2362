"""CSV and Parquet with named columns: for every log that has no reader of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from segue.offline.datasets.play_log import PlayLogError
from segue.offline.datasets.readers.columns import epoch_ms, non_empty, with_schema
from segue.offline.datasets.readers.reader import Head, Reader
from segue.offline.datasets.readers.text import (
    fields_check,
    read_bytes,
    read_head,
    read_table,
    split_row,
    unreadable,
)
from segue.offline.datasets.readers.validation import (
    Check,
    Validation,
    id_checks,
    require,
    time_check,
)

REQUIRED = ("user_id", "song_id", "played_at")
OPTIONAL = ("session_id", "ms_played", "skipped", "title", "artist", "album")
SEPARATORS = (",", "\t", ";", "|")
FIRST_MILLISECONDS = 100_000_000_000
"""Numbers from here on are milliseconds (since 1973), below it seconds (until 5138)."""

PARQUET_MAGIC = b"PAR1"
TRUE, FALSE = ("true", "1"), ("false", "0")


def read_csv(
    path: Path, validation: Validation, columns: Mapping[str, str] | None = None
) -> pl.DataFrame:
    """Read a table with a header, its columns separated by comma, tab, semicolon or bar.

    columns: the file's name for each of our columns with another name; other columns of the
    file are ignored. played_at is RFC 3339 (UTC where it has no offset) or Unix time, in
    seconds or milliseconds decided by the median; a note reports which.
    """
    head = read_head(path)
    separator = separator_of(head[0]) if head else ","
    rows = read_table(path, separator, quoted=True)
    names = rows.columns[2:]
    taken = _column_names(path, names, columns or {})
    given = [pl.col(theirs).alias(f"given {ours}") for ours, theirs in taken.items()]
    rows = rows.select("#line", "#fields", *given)
    return _validated(path, rows, taken, validation, [fields_check(len(names))])


def read_parquet(
    path: Path, validation: Validation, columns: Mapping[str, str] | None = None
) -> pl.DataFrame:
    """Read a Parquet file as `read_csv` reads its table; played_at may also be a datetime.

    A row's number, from 1, stands for the line in descriptions of problems.
    """
    try:
        names = pl.scan_parquet(path, glob=False).collect_schema().names()
        taken = _column_names(path, names, columns or {})
        needed = list(dict.fromkeys(taken.values()))
        rows = pl.read_parquet(path, columns=needed, glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise unreadable(path, error) from error
    for theirs, dtype in rows.schema.items():
        if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
            raise PlayLogError(f"{path}: column {theirs} holds {dtype}, not text, numbers or times")
    given = [_as_text(theirs, ours, rows.schema[theirs]) for ours, theirs in taken.items()]
    rows = rows.with_row_index("#line", offset=1).select("#line", *given)
    return _validated(path, rows, taken, validation, [])


def separator_of(header: str) -> str:
    """Return the separator that yields the most of our names in a header, else the most names."""
    known_names = {*REQUIRED, *OPTIONAL}

    def names(separator: str) -> tuple[int, int]:
        fields = split_row(header, separator)
        return len(known_names.intersection(fields)), len(fields)

    return max(SEPARATORS, key=names)


def _column_names(path: Path, names: Sequence[str], columns: Mapping[str, str]) -> dict[str, str]:
    """Return our name -> the file's name for every column to read."""
    unknown = columns.keys() - {*REQUIRED, *OPTIONAL}
    if unknown:
        ours = ", ".join((*REQUIRED, *OPTIONAL))
        raise PlayLogError(f"no column is called {', '.join(sorted(unknown))} here, only {ours}")
    file_names = {name: columns.get(name, name) for name in (*REQUIRED, *OPTIONAL)}
    needed = {*REQUIRED, *columns}
    missing = [
        name for name, theirs in file_names.items() if name in needed and theirs not in names
    ]
    if missing:
        raise PlayLogError(
            f"{path}: no column {', '.join(file_names[name] for name in missing)} among "
            f"{', '.join(names)}: say which columns hold {', '.join(missing)}"
        )
    return {name: theirs for name, theirs in file_names.items() if theirs in names}


def _as_text(theirs: str, ours: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(theirs)
    if ours == "played_at" and isinstance(dtype, pl.Datetime):
        return column.alias("given played_at")
    return column.cast(pl.String, strict=False).alias(f"given {ours}")


def _validated(
    path: Path,
    rows: pl.DataFrame,
    taken: Mapping[str, str],
    validation: Validation,
    checks: list[Check],
) -> pl.DataFrame:
    """Parse the columns "given <our name>", and keep the good rows."""
    clock, layout = _clock(rows["given played_at"])
    validation.notes.append(f"{taken['played_at']} is read as {layout}")
    text = {name: non_empty(f"given {name}") for name in taken if name not in REQUIRED}
    text |= {name: pl.col(f"given {name}") for name in ("user_id", "song_id")}
    if "ms_played" in text:
        text["ms_played"] = epoch_ms(text["ms_played"], 1)
    if "skipped" in text:
        text["skipped"] = _truth(text["skipped"])
    rows = with_schema(rows, **text, played_at_ms=clock)
    for name in ("user_id", "song_id"):
        checks += id_checks(name, taken[name])
    checks.append(time_check(taken["played_at"], layout, "given played_at"))
    return validation.keep_good(path, rows, [*checks, *_optional_checks(taken)])


def _optional_checks(taken: Mapping[str, str]) -> list[Check]:
    """Require that optional values were parsed, where given."""
    checks: list[Check] = []
    if "session_id" in taken:
        absent = pl.col("session_id").is_null()
        for check in id_checks("session_id", taken["session_id"]):
            checks.append(Check(absent | check.good, check.describe))
    for name, good, reason in (
        ("ms_played", pl.col("ms_played") >= 0, "not a number of milliseconds from 0"),
        ("skipped", pl.col("skipped").is_not_null(), "neither true nor false"),
    ):
        if name in taken:
            given = f"given {name}"
            checks.append(require(taken[name], non_empty(given).is_null() | good, reason, given))
    return checks


def _truth(text: pl.Expr) -> pl.Expr:
    word = text.str.to_lowercase()
    return pl.when(word.is_in(TRUE)).then(True).when(word.is_in(FALSE)).then(False)


def _clock(given: pl.Series) -> tuple[pl.Expr, str]:
    """Return the times of a column in milliseconds, and the name of their detected layout."""
    column = pl.col(given.name)
    if isinstance(given.dtype, pl.Datetime):
        return column.dt.epoch("ms"), "datetimes"
    number = given.cast(pl.Float64, strict=False).drop_nulls()
    if number.len() * 2 <= (given.str.len_bytes() > 0).sum():
        return _rfc3339_ms(column), "RFC 3339"
    if float(number.median()) >= FIRST_MILLISECONDS:  # type: ignore[arg-type]
        return epoch_ms(column, 1), "Unix milliseconds"
    return epoch_ms(column, 1000), "Unix seconds"


def _rfc3339_ms(text: pl.Expr) -> pl.Expr:
    joined = text.str.replace("^(.{10})[t ]", "${1}T").str.replace("[Zz]$", "+00:00")
    bare = ~joined.str.contains(r"[+-]\d\d:\d\d$")
    whole = pl.when(bare).then(joined + "+00:00").otherwise(joined)
    parsed = whole.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", strict=False, time_unit="ms")
    return parsed.dt.epoch("ms")


def _is_csv(head: Head) -> bool:
    return set(REQUIRED) <= set(head.fields(separator_of(head.first), quoted=True))


def _is_parquet(head: Head) -> bool:
    return head.path.is_file() and read_bytes(head.path, len(PARQUET_MAGIC)) == PARQUET_MAGIC


CSV = Reader(
    "csv",
    "a header with user_id, song_id, played_at; optional: session_id, ms_played, skipped,"
    " title, artist, album",
    "user_id,song_id,played_at",
    read_csv,
    _is_csv,
    ("csv", "tsv"),
    columns=True,
)
PARQUET = Reader(
    "parquet",
    "Parquet with the same columns as csv",
    "(binary)",
    read_parquet,
    _is_parquet,
    ("parquet",),
    columns=True,
)
