"""Models over the play buffer: they learn from every play, with no training step.

Session kNN, trends and out-of-vocabulary songs as of any play of a partition's log.
"""
