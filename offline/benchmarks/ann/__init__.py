"""Nearest-neighbour libraries measured side by side: time and recall of each index."""
