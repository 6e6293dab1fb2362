"""Prequential evaluation: each play is compared with the list made before it; shadow models."""
