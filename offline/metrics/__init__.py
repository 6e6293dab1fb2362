"""Offline metrics: full-catalogue ranking, significance, beyond-accuracy, off-policy."""
