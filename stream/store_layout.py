"""How the store's bytes lie in LMDB: its databases, their keys and their fixed-width values.

histories    partition, user id -> the listener's history, as `encode_history` wrote it
ledger       partition -> the next offset, and the newest played_at_ms
popularity   partition, song id -> log2 of the song's decayed play count
"""

from __future__ import annotations

import struct

FORMAT = b"1"
FORMAT_KEY = b"format"
HISTORIES = b"histories"
LEDGER = b"ledger"
POPULARITY = b"popularity"

PARTITION_NUMBER = struct.Struct(">I")
LEDGER_ENTRY = struct.Struct(">QQ")  # next offset, newest played_at_ms
WEIGHT = struct.Struct(">d")


def key_of(partition: int, name: str) -> bytes:
    """Give the key of a user id or a song id; a partition's keys lie side by side."""
    return PARTITION_NUMBER.pack(partition) + name.encode()
