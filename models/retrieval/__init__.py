"""Candidate generation without a model of its own.

Here lie the `Retriever` protocol, the lists and unions of candidates, listener profiles, the ANN
index and sparse scores. A retriever of one model lies in that model's package and returns the
types of this one; `models.hybrid.retrievers` registers it.
"""
