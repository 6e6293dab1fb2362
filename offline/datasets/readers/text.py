"""Text files as tables: decompressed, decoded, and numbered by their physical lines."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

import msgspec
import polars as pl

from segue.offline.datasets.play_log import PlayLogError
from segue.offline.datasets.readers.validation import Check, brief, require

Row = TypeVar("Row")

NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode_row(decode: Callable[[bytes], Row], raw: bytes, prefix: str = "") -> Row | str:
    """Decode one row, or return "field: reason (row)"; `prefix` precedes the field."""
    try:
        return decode(raw)
    except NOT_JSON as error:
        reason, _, place = str(error).partition(" - at `$.")
        field = f"{prefix}.{place[:-1]}".strip(".") or "row"
        return f"{field}: {reason} ({brief(raw.decode(errors='replace').strip())})"


def fault_check() -> Check:
    """Reject rows with a description in their column "#fault" (String)."""
    return Check(pl.col("#fault").is_null(), lambda row: str(row["#fault"]))


GZIP_MAGIC = b"\x1f\x8b"
HEAD_BYTES = 1 << 16
QUOTED_ROWS_AT_ONCE = 20_000
UNREADABLE = (OSError, EOFError, zlib.error)


def open_binary(path: Path) -> BinaryIO:
    """Open a file for reading; gzip is decompressed, whatever the file's name."""
    with path.open("rb") as file:
        packed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    return cast(BinaryIO, gzip.open(path)) if packed else path.open("rb")


def read_bytes(path: Path, limit: int = -1) -> bytes:
    """Return a file's first `limit` bytes after decompression, or all of them."""
    try:
        with open_binary(path) as file:
            return file.read(limit)
    except UNREADABLE as error:
        raise unreadable(path, error) from error


def read_head(path: Path) -> list[str]:
    """Return the lines of a file's first 64 KiB without blank ones.

    Bytes that are not UTF-8 become U+FFFD; reading the whole file reports them.
    """
    text = read_bytes(path, HEAD_BYTES).decode("utf-8-sig", "replace")
    return [line.removesuffix("\r") for line in text.split("\n") if line.strip()]


def unreadable(path: Path, error: BaseException) -> PlayLogError:
    """Return the error of a file that could not be read."""
    return PlayLogError(f"{path}: cannot be read: {' '.join(str(error).split())}")


def read_lines(path: Path) -> pl.DataFrame:
    """Read a UTF-8 file, gzip or not: "#line" (from 1), "text" (String); no blank lines.

    Lines end with LF or CRLF; a byte order mark is dropped. An empty file, one that cannot be
    read and one that is not UTF-8 raise PlayLogError.
    """
    try:
        lines = pl.read_lines(
            path, name="text", row_index_name="#line", row_index_offset=1, glob=False
        )
    except OSError as error:
        raise unreadable(path, error) from error
    except pl.exceptions.ComputeError as error:
        raise wrong_encoding(path) from error
    text = pl.col("text").str.strip_prefix("\ufeff")
    lines = lines.with_columns(pl.when(pl.col("#line") == 1).then(text).otherwise("text"))
    lines = lines.filter(pl.col("text").str.len_bytes() > 0)
    if lines.is_empty():
        raise PlayLogError(f"{path}: is empty")
    return lines


def wrong_encoding(path: Path) -> PlayLogError:
    """Return the error of a file that is not UTF-8, with its first such line and a remedy."""
    remedy = "convert the file first, e.g. iconv -f {} -t utf-8"
    if read_bytes(path, 2) in (b"\xff\xfe", b"\xfe\xff"):
        return PlayLogError(f"{path}:1: is UTF-16, not UTF-8: {remedy.format('utf-16')}")
    number = 0
    with open_binary(path) as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                bad = f"byte {line[error.start : error.start + 1]!r} is not UTF-8"
                return PlayLogError(f"{path}:{number}: {bad}: {remedy.format('latin1')}")
    return PlayLogError(f"{path}: cannot be read as {number} lines of text")


def read_table(
    path: Path, separator: str, names: Sequence[str] | None = None, *, quoted: bool = False
) -> pl.DataFrame:
    """Read a table: "#line" and "#fields" (how many the row has), then a String column each.

    names: the columns of a file without a header; None takes them from its first line.
    Missing fields are null, surplus ones are dropped: `fields_check` finds such rows.
    quoted: fields may stand in double quotes as in RFC 4180, and then hold line breaks.
    """
    lines = read_lines(path)
    if names is None:
        names = split_row(lines["text"][0], separator)
        lines = lines[1:]
        if len(set(names)) < len(names):
            raise PlayLogError(f"{path}:1: the header names a column twice: {', '.join(names)}")
    if quoted and lines["text"].str.contains('"', literal=True).any():
        return _split_quoted(path, lines, separator, names)
    fields = pl.col("text").str.count_matches(separator, literal=True) + 1
    parts = pl.col("text").str.split_exact(separator, len(names) - 1).struct.rename_fields(names)
    return lines.select("#line", fields.alias("#fields"), parts.alias("parts")).unnest("parts")


def fields_check(number: int) -> Check:
    """Require that a row has exactly `number` fields."""
    return require("row", pl.col("#fields") == number, f"must have {number} fields", "#fields")


def split_row(text: str, separator: str) -> list[str]:
    """Split one line as RFC 4180 does; a line that is no row at all stays whole."""
    try:
        fields = next(csv.reader([text.replace("\r", " ")], delimiter=separator))
    except csv.Error:
        return [text]
    return [field.strip() for field in fields]


# A quarter of the speed of splitting in Polars (10^6 rows, 5 columns), whose own CSV parser
# refuses a whole file for one stray quote. So only files that hold a quote come here.
def _split_quoted(
    path: Path, lines: pl.DataFrame, separator: str, names: Sequence[str]
) -> pl.DataFrame:
    schema = pl.Schema({"#line": pl.UInt32, "#fields": pl.UInt32} | dict.fromkeys(names, pl.String))
    rows = _quoted_rows(path, lines, separator, len(names))
    tables = [pl.DataFrame(schema=schema)]
    while chunk := list(islice(rows, QUOTED_ROWS_AT_ONCE)):
        columns = dict(zip(schema, zip(*chunk, strict=True), strict=True))
        tables.append(pl.DataFrame(columns, schema=schema))
    return pl.concat(tables)


def _quoted_rows(
    path: Path, lines: pl.DataFrame, separator: str, width: int
) -> Iterator[tuple[int | str | None, ...]]:
    # A carriage return inside a line ends no row, though the csv module thinks so.
    texts = lines["text"].str.replace_all("\r", " ", literal=True)
    reader = csv.reader((text + "\n" for text in texts), delimiter=separator)
    numbers = lines["#line"].to_list()
    begun = 0
    try:
        for fields in reader:
            padded = [*fields, *[None] * (width - len(fields))][:width]
            yield numbers[begun], len(fields), *padded
            begun = reader.line_num
    except csv.Error as error:
        problem = f"{error}; is a quote left open there?"
        raise PlayLogError(f"{path}:{numbers[begun]}: {problem}") from error
