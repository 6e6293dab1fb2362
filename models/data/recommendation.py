"""The list that is published: songs with their scores, sources and reasons."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Attribution(msgspec.Struct, frozen=True, gc=False):
    """A song of the session that carried a recommendation, and its share of it in [0, 1]."""

    song_id: str
    weight: float


class RecommendedSong(msgspec.Struct, frozen=True, gc=False):
    """One entry of a list. Scores compare within one list only."""

    song_id: str
    score: float
    sources: Sequence[str]
    because: Sequence[Attribution]
