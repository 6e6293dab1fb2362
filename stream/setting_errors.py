"""What is said of a setting that cannot be used: its name, its value and the remedy."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

PREFIX = "SEGUE_"


def shown(name: str, origin: str) -> str:
    """Write a setting's name the way its origin spells it."""
    return PREFIX + name.upper() if origin == "environment" else name


def describe(
    error: ErrorDetails, fields: Mapping[str, FieldInfo], origins: Mapping[str, str]
) -> str:
    """Say which setting has which wrong value, where from, and what to give instead."""
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return message
    if error["type"] == "string_pattern_mismatch":
        message = "is not of that form"
    name = str(error["loc"][0])
    known = fields[name]
    value = "(secret)" if "SecretStr" in str(known.annotation) else repr(error["input"])
    setting = f"{shown(name, origins[name])} = {value} ({origins[name]})"
    default = "none" if known.default is None else known.default
    remedy = f"give {known.description} (default {default})"
    return f"{setting}: {message[0].lower()}{message[1:]}; {remedy}"
