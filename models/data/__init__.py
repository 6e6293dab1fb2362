"""Data that every model consumes: vocabularies, ragged sessions, the catalogue, the play buffer.

Containers of arrays enter here. A class that learns or scores belongs to a model's own room.
"""
