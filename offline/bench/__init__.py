"""Benchmarks of the hot path: a worker beside the same Faust loop that does not think."""
