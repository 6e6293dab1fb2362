"""Recommenders whose lists are known, and some that fail."""

from __future__ import annotations

import time

from segue.models.data.recommendation import RecommendedSong
from segue.models.recommenders.base import RecommenderConfig


class Always:
    """Gives everybody the same songs."""

    def __init__(self, *songs: str, version: str = "always") -> None:
        self.songs = songs
        self.version = version
        self.config = RecommenderConfig()
        self.asked = 0

    def recommend(self, requests, stage=None):
        self.asked += len(requests)
        return [[RecommendedSong(song, 1.0, ("x",), ()) for song in self.songs] for _ in requests]


class Broken(Always):
    """Fails once it is asked for lists."""

    def recommend(self, requests, stage=None):
        raise ZeroDivisionError("a model on trial")


class Slow(Always):
    """Takes its time."""

    def recommend(self, requests, stage=None):
        time.sleep(0.02)
        return super().recommend(requests)
