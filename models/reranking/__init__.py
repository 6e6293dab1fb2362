"""Business rules: exclusion filters, quotas and diversity, applied to ranked candidates.

What changes a list after ranking enters here.
"""
