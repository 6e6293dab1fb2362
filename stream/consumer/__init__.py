"""The Faust app: micro-batches, back-pressure, revocation and periodic tasks.

Faust is wired here and in the agents, nowhere else.
"""
