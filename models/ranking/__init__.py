"""The learning-to-rank stage: feature schema, feature extraction, the ranker and its inference.

Features describe (listener, context, candidate); candidates come from `models.hybrid`.
"""
