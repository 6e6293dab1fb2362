"""A map of songs: those heard together lie together."""
