"""TODO."""

from __future__ import annotations


def partition_of(user_id: str, partitions: int) -> int:
    """Return the partition of a listener's plays: that of Kafka's own producers.

    >>> [partition_of(user_id, 4) for user_id in ("anna", "ben", "cleo")]
    [3, 1, 3]
    """
    from kafka.partitioner.default import murmur2

    number: int = murmur2(user_id.encode()) & 0x7FFFFFFF
    return number % partitions
