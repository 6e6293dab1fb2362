"""The list for listeners of whom no model knows a song: what others go on with at present."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.lists import RecommendedSong
from models.live_neighbours import LiveConfig, live_songs
from models.recommender import PopularityRecommender, RecommenderConfig, Request


class LiveFallback(PopularityRecommender):
    """The songs that recent sessions lead to, then what is popular."""

    def __init__(self, config: RecommenderConfig, trained: Sequence[str], live: LiveConfig) -> None:
        """Take the most played songs of training, and how recent plays are asked."""
        super().__init__(config, trained)
        self._plan = live.plan()

    def list_for(self, request: Request) -> list[RecommendedSong]:
        """Give one list. The score is 1 / rank."""
        heard = self.config.barred(request.session)
        found = [song for song in self._live(request) if song not in heard]
        popular = [song for song in self.songs_for(request) if song not in found]
        sourced = [*((song, "live") for song in found), *((song, "popularity") for song in popular)]
        return [
            RecommendedSong(song_id, round(1 / rank, 4), (source,), ())
            for rank, (song_id, source) in enumerate(sourced[: self.config.list_length], 1)
        ]

    def _live(self, request: Request) -> list[str]:
        if request.moment is None:
            return []
        recent, asked = request.moment.recent, np.array([request.moment.number])
        most = self.config.list_length + self.config.no_repeat_songs
        slots, _, _ = live_songs(recent.ring, recent.window, asked, self._plan, most)
        return [recent.song_ids[slot] for slot in slots[0].tolist() if slot]
