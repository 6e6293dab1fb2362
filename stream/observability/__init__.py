"""Metrics, health endpoints, tracing and structured logs of the live processes."""
