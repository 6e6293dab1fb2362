"""Models over listener-song play counts: the paper's AMNN, NeuMF, NNRec, EASE, item kNN, ALS.

Order-free models enter here; models of sessions have their own rooms.
"""
