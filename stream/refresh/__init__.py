"""The refresh side-car: sessions from the stream, training data, guardrails, hot swaps."""
