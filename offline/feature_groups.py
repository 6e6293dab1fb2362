"""Which of the ranker's features belong together: to a model, or to one kind of knowledge."""

from __future__ import annotations

from models.moments import SKIPS, TIMES
from models.ranking_features import HEARD_FEATURES, LIKENESS_FEATURES
from models.skipgram_space import SPACE_FEATURES

GROUPS = {
    "gru": ("gru", "gru_rank"),
    "amnn": ("amnn",),
    "neighbours": ("neighbours", "neighbours_rank"),
    "rules": ("rules", "rules_rank"),
    "tree": ("tree", "tree_rank"),
    "items": ("items", "items_rank"),
    "blend": ("blend", "blend_rank"),
    "popularity": ("popularity", "trend"),
    "heard": HEARD_FEATURES,
    "likeness": LIKENESS_FEATURES,
    "skipgram": (*SPACE_FEATURES, "skipgram_rank"),
    "age": ("age",),
    "artist": ("artist_known", "artist_is_last", "artist_session", "artist_history"),
    "time": (*TIMES, "hour_match"),
    "skips": (*SKIPS, "skips_known", "skipped_before"),
    "live": ("live", "live_rank", "live_plays", "live_recency", "live_named", "live_window"),
    "own": ("own_rank", "is_new"),
    "trending": ("trending_rank", "rise"),
    "content": ("content", "content_rank", "twins"),
}
"""What can be taken away to see what it was worth: features of candidates and of contexts."""
