"""Benchmarks: throughput, latency, stages, index recall, store growth, soak.

Every figure is measured in turn with a reference in the same run.
"""
