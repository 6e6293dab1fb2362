"""Songs without plays: embeddings from metadata and audio, aligned to the listening space.

What recommends a song before its first play enters here.
"""
