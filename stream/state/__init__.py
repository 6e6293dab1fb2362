"""The state store: per-partition histories, counts and offsets in LMDB, one transaction a batch.

State is a function of the partition's log; nothing here reads a clock or a broker.
"""
