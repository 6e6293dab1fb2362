"""Kernels without a domain: compiled loops, fast math, dot products, dropout, negative sampling.

Nothing here knows what a session or a recommendation is.
"""
