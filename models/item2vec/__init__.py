"""Skip-gram song vectors (item2vec) and retrieval by their cosine.

Training on listening queues and what reads the vectors enters here.
"""
