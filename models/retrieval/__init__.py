"""Candidate generation without a model of its own: the ANN index, sparse scores, candidate unions.

A retriever of one model lies in that model's room and returns the types of this one.
"""
