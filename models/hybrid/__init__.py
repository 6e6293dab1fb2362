"""The two-stage model: candidate generation by every retriever, then one ranker.

Assembly enters here; a single retriever or feature belongs to its own room.
"""
