"""The list for listeners of whom no model knows a song: what others go on with at present."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segue.models.online.session_knn import LiveConfig, live_songs
from segue.models.recommenders.base import PopularityRecommender, RecommenderConfig, Request
from segue.models.reranking.rule_engine import RuleBook


class LiveFallback(PopularityRecommender):
    """The songs that recent sessions lead to, then what is popular."""

    def __init__(
        self,
        config: RecommenderConfig,
        trained: Sequence[str],
        live: LiveConfig,
        book: RuleBook | None = None,
    ) -> None:
        """Accept the most played songs of training, and how recent plays are asked."""
        super().__init__(config, trained, book)
        self._query = live.query()

    def sourced(self, request: Request) -> dict[str, str]:
        """Return the songs that a list is made from, best first, each with its source."""
        found = dict.fromkeys(self._live(request), "live")
        return found | {
            song: source for song, source in super().sourced(request).items() if song not in found
        }

    def _live(self, request: Request) -> list[str]:
        if request.snapshot is None:
            return []
        recent, asked = request.snapshot.recent, np.array([request.snapshot.number])
        most = self.config.list_length + self.config.no_repeat_songs
        slots, _, _ = live_songs(recent.ring, recent.window, asked, self._query, most)
        return [recent.song_ids[slot] for slot in slots[0].tolist() if slot]
