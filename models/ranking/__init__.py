"""Learning to rank: the features of candidates and contexts, the ranker, and its inference.

A feature describes a listener, a context and a candidate, whichever retriever found it. It enters
as part of a group that `schema.FEATURE_GROUPS` registers. Candidates come from `models.hybrid`.
"""
