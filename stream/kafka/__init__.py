"""Clients of the broker: security, topics, partitioner, publisher, log and compacted-topic readers.

Faust is not imported here; see `stream.consumer`.
"""
