"""Bytes to values and back: plays, erasures, catalogue records, recommendation lists.

Decoding untrusted bytes and its limits enter here; no client of a broker does.
"""
