"""Benchmarks: throughput, latency, stages, index recall, store growth, soak.

Every figure is measured beside a reference of the same run.
"""
