"""Judging next-song models: the whole catalogue ranked, chance accounted for."""
