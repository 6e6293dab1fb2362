"""What kinds of value a setting can have."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

UpperCase = BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value)
Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
LogFormat = Literal["console", "json"]
Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
# host:port, host:port, ...; an IPv6 address stands in brackets.
Bootstrap = Annotated[
    str, Field(pattern=r"^(\[[^\]\s]+\]|[^\s:,/]+):\d+(,([^\s:,/]+|\[[^\]\s]+\]):\d+)*$")
]
TopicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


def about(default: Any, description: str, **bounds: Any) -> Any:
    """Give a field its default, its one-line description and its bounds."""
    return Field(default=default, description=description, **bounds)
