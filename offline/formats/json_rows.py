"""Rows of JSON: decoded against a type, with a fault instead where they do not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec
import polars as pl

from offline.formats.sieve import Check, brief

Row = TypeVar("Row")

NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode_row(decode: Callable[[bytes], Row], raw: bytes, prefix: str = "") -> Row | str:
    """Decode one row, or say "field: reason (row)"; `prefix` stands before the field."""
    try:
        return decode(raw)
    except NOT_JSON as error:
        reason, _, place = str(error).partition(" - at `$.")
        field = f"{prefix}.{place[:-1]}".strip(".") or "row"
        return f"{field}: {reason} ({brief(raw.decode(errors='replace').strip())})"


def fault_check() -> Check:
    """Refuse the rows whose column "#fault" (String) says what is wrong with them."""
    return Check(pl.col("#fault").is_null(), lambda row: str(row["#fault"]))
