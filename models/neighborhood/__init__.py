"""Memory-based models: session kNN, item kNN, sequential rules, context tree, popularity, blends.

A model that is fitted by counting, without gradient descent on a network, enters here.
"""
