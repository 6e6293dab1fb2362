"""Histories of a few listeners who play one after the other, and the lists that answer them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from segue.models.recommenders.base import Recommender
from segue.stream.messages.events import Play, RecommendationList
from segue.stream.serving.pipeline import handle_plays
from segue.stream.state.config import StoreConfig
from segue.stream.state.store import HistoryStore

MINUTE_MS = 60_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HistoryStore]:
    """Return a store of its own to each test."""
    store = HistoryStore(tmp_path / "histories", StoreConfig(recent_plays=500))
    yield store
    store.close()


def plays_of(sessions: Sequence[tuple[str, Sequence[str]]], first: int = 0) -> list[Play]:
    """Let listeners play one after the other, a minute between two plays, from offset `first`."""
    played = [(user, song_id) for user, songs in sessions for song_id in songs]
    return [
        Play(f"e{n}", user, song_id, n * MINUTE_MS, 0, n)
        for n, (user, song_id) in enumerate(played, first)
    ]


def answered(
    store: HistoryStore, recommender: Recommender, plays: Sequence[Play]
) -> list[RecommendationList]:
    """Count plays and give the list of each."""
    return handle_plays(plays, {}, store, recommender, now_ms=0)[1]
