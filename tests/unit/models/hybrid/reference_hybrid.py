"""The hybrid's lists in plain form: features song by song, from definitions.

Candidates and retrievers' scores are those of the hybrid; all other features are computed again,
and ranked by the network as it was trained.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.data.play_buffer import BufferSnapshot
from segue.models.data.play_metadata import UNKNOWN
from segue.models.data.sessions import Contexts
from segue.models.hybrid.config import UNNAMED_RETRIEVERS
from segue.models.hybrid.model import HybridNextSong
from segue.models.ranking.features import LEAST_LOG_PROBABILITY
from segue.models.ranking.inputs import FeatureTable, RankingInputs
from segue.models.ranking.schema import CANDIDATE_FEATURES
from segue.models.ranking.song_features import SLOT_MS, SLOTS

Features = dict[str, float]
COUNTED = 20  # plays of a song among the recent ones, at most


def plain_features(
    hybrid: HybridNextSong, contexts: Contexts, inputs: RankingInputs
) -> NDArray[np.float32]:
    """Return CANDIDATE_FEATURES of known songs, float32 [B, C, F]; shares are the hybrid's."""
    table = inputs.candidate_features.numpy().copy()
    with torch.no_grad():
        scores, _ = hybrid.parts.amnn.model.score(
            torch.from_numpy(hybrid.parts.amnn.windows(contexts)), inputs.known_items
        )
    scores = scores.masked_fill(inputs.items == 0, -torch.inf).log_softmax(1)
    for row in range(len(inputs)):
        for slot, item in enumerate(inputs.items[row].tolist()):
            if item == 0:
                assert not table[row, slot].any()
                continue
            features = {
                **_ranks(inputs.ranks[row, slot]),
                **_repeats(contexts, row, item),
                **_near(hybrid, contexts, row, item),
                **_traits(hybrid, contexts, row, item),
                **_buffer_features(hybrid, contexts.snapshots[row], item),
                "amnn": max(float(scores[row, slot]), LEAST_LOG_PROBABILITY),
            }
            for name, value in features.items():
                table[row, slot, CANDIDATE_FEATURES.index(name)] = value
    return table


def plain_lists(
    hybrid: HybridNextSong, inputs: RankingInputs, table: NDArray[np.float32], length: int
) -> list[list[int]]:
    """Return the best items of each by the network that was trained, best first."""
    vectors = hybrid.parts.gru.vectors[inputs.known_items]
    inputs = with_features(inputs, torch.from_numpy(table))
    with torch.no_grad():
        logits = hybrid.ranker(inputs, vectors)[0]
    best, places = logits.topk(min(length, logits.shape[1]), dim=1)
    items = inputs.items.gather(1, places)
    return [row[real].tolist() for row, real in zip(items, best > -torch.inf, strict=True)]


def with_features(inputs: RankingInputs, table: Tensor) -> RankingInputs:
    """Return inputs with these CANDIDATE_FEATURES, float32 [B, C, F]."""
    rows, begins = inputs.table.rows.copy(), inputs.table.begins
    for row, features in enumerate(table.numpy()):
        mine = rows[begins[row] : begins[row + 1]]
        mine[:, : features.shape[1]] = features[: len(mine)]
    return replace(inputs, table=FeatureTable(rows, begins))


def _ranks(ranks: NDArray[np.int32]) -> Features:
    features = {
        f"{name}_rank": rank for name, rank in zip(UNNAMED_RETRIEVERS, ranks.tolist(), strict=True)
    }
    return {
        name: 1 / rank if rank else 0.0
        for name, rank in features.items()
        if name in CANDIDATE_FEATURES
    }


def _repeats(contexts: Contexts, row: int, item: int) -> Features:
    features: Features = {}
    session = contexts.sessions[row].tolist()
    for part, songs in (("session", session), ("history", contexts.histories[row].tolist())):
        places = [place for place, song in enumerate(songs) if song == item]
        features[f"in_{part}"] = float(bool(places))
        features[f"{part}_ago"] = math.log1p(len(songs) - places[-1]) if places else 0.0
        features[f"{part}_plays"] = math.log1p(len(places))
    features["is_last"] = float(bool(session) and session[-1] == item)
    return features


def _near(hybrid: HybridNextSong, contexts: Contexts, row: int, item: int) -> Features:
    parts = hybrid.parts
    session, history = contexts.sessions[row].tolist(), contexts.histories[row].tolist()
    last = (history + session)[-1:]
    space, decay = parts.skipgram.rows, parts.skipgram.memory
    vectors = parts.gru.vectors.numpy()
    return {
        "like_last": _cosine(vectors, item, last),
        "like_session": _cosine(vectors, item, session),
        "like_listener": _cosine(vectors, item, history),
        "like_lately": _cosine(vectors, item, history[-20:]),
        "skipgram": _cosine(space, item, session[-50:], decay),
        "skipgram_last": _cosine(space, item, last),
        "skipgram_listener": _cosine(space, item, history),
    }


def _cosine(
    vectors: NDArray[np.float32], item: int, songs: Sequence[int], decay: float = 1.0
) -> float:
    total = sum(
        (decay**ago * vectors[song] for ago, song in enumerate(reversed(songs))),
        start=np.zeros(vectors.shape[1]),
    )
    length = np.linalg.norm(total)
    return float(vectors[item] @ total / length) if length else 0.0


def _traits(hybrid: HybridNextSong, contexts: Contexts, row: int, item: int) -> Features:
    traits = hybrid.parts.traits
    session, history = contexts.sessions[row].tolist(), contexts.histories[row].tolist()
    artist = int(traits.artists[item])
    by = [[traits.artists[song] for song in songs].count(artist) for songs in (session, history)]
    last = (history + session)[-1]
    skips = []
    for rows, details in (
        (contexts.sessions, contexts.session_details),
        (contexts.histories, contexts.history_details),
    ):
        if len(details):
            mine = slice(rows.offsets[row], rows.offsets[row + 1])
            known = zip(rows[row].tolist(), details.skipped[mine].tolist(), strict=True)
            skips += [skip for song, skip in known if song == item and skip != UNKNOWN]
    when = UNKNOWN
    if session and len(contexts.session_details):
        when = int(contexts.session_details.played_at_ms[contexts.sessions.offsets[row + 1] - 1])
    timed = when != UNKNOWN and len(traits.hours)
    return {
        "age": float(traits.ages[item]),
        "artist_known": float(artist > 0),
        "artist_is_last": float(artist > 0 and traits.artists[last] == artist),
        "artist_session": math.log1p(by[0]) if artist else 0.0,
        "artist_history": math.log1p(by[1]) if artist else 0.0,
        "skips_known": math.log1p(len(skips)),
        "skipped_before": sum(skips) / len(skips) if skips else 0.0,
        "hour_match": float(traits.hours[item, when // SLOT_MS % SLOTS]) if timed else 0.0,
    }


def _buffer_features(
    hybrid: HybridNextSong, snapshot: BufferSnapshot | None, item: int
) -> Features:
    online = hybrid.parts.online
    if snapshot is None:
        return {"live_plays": 0.0, "live_recency": 0.0, "rise": 0.0, "is_new": 0.0}
    recent, number = snapshot.recent, snapshot.number
    ring, name = recent.ring, hybrid.vocabulary.song(item)
    first = max(1, number - recent.window + 1)
    mine = ring.sessions[number % recent.capacity]
    plays = [
        play
        for play in range(number, first - 1, -1)
        if recent.song_ids[ring.songs[play % recent.capacity]] == name
        and ring.sessions[play % recent.capacity] != mine
    ][:COUNTED]
    counts = hybrid.parts.popularity
    share = float((counts[item] + 1) / (counts.sum() + len(counts)))
    span = min(online.config.trending_plays, number - first + 1)
    lately = sum(play > number - span for play in plays)
    return {
        "live_plays": math.log1p(len(plays)),
        "live_recency": 1 / (1 + math.log1p(number - plays[0])) if plays else 0.0,
        "rise": math.log((lately + 1) / (span * share + 1)),
        "is_new": 0.0,
    }
