"""The serving facade: requests in, recommendations with explanations out, fallbacks included.

Nothing here trains.
"""
