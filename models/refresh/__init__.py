"""Incremental refresh of a bundle: recount, fine-tune embeddings, initialise new songs.

Pure functions of a bundle and new sessions; the service around them is `stream.refresh`.
"""
