"""The validation split: the last part of a play log by time, which no model learns from."""

from __future__ import annotations

from dataclasses import dataclass

from segue.models.base import NextSongModel
from segue.models.data.sessions import SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.offline.datasets.play_log import PlayLog
from segue.offline.datasets.sessions import Numbering, Predictions
from segue.offline.metrics.full_ranking import judge
from segue.offline.metrics.ranking import hit_rate, mrr
from segue.offline.training.baselines import BASELINES

VALIDATION_PREDICTIONS = 5_000


@dataclass(frozen=True)
class ValidationSplit:
    """A log split by time: sessions to learn from, and what to predict, if anything.

    songs: those of `learned` alone.
    """

    learned: SessionLog
    songs: Vocabulary
    validation: Predictions | None

    @classmethod
    def of(
        cls,
        log: PlayLog,
        fraction: float,
        session_gap_s: float,
        seed: int,
        limit: int = VALIDATION_PREDICTIONS,
    ) -> ValidationSplit:
        """Split off the last `fraction` of the plays; draw at most `limit` predictions of it."""
        numbering = Numbering()
        if not fraction:
            return cls(numbering.number(log, session_gap_s), numbering.songs, None)
        earlier, later = log.split_by_time(1 - fraction)
        learned = numbering.number(earlier, session_gap_s)
        songs = Vocabulary(numbering.songs.song_ids)
        judged = numbering.number(later, session_gap_s)
        validation = Predictions.of(judged, len(songs), past=learned)
        return cls(learned, songs, validation.sample(limit, seed))

    def beside_popularity(
        self, hit_rate_at_20: float | None, mrr_at_20: float | None
    ) -> dict[str, float | None]:
        """Return a model's metrics and those of popularity on the same predictions."""
        popular: dict[str, float] = {}
        if self.validation is not None and len(self.validation):
            popularity = BASELINES["popularity"]
            counted = popularity.fit(self.learned, self.songs, popularity.configs[0])
            popular = metrics_at_20(counted, self.validation, self.songs)
        return {
            "hit_rate_at_20": hit_rate_at_20,
            "mrr_at_20": mrr_at_20,
            "popularity_hit_rate_at_20": popular.get("hit_rate_at_20"),
            "popularity_mrr_at_20": popular.get("mrr_at_20"),
        }


def metrics_at_20(
    model: NextSongModel, predictions: Predictions, songs: Vocabulary
) -> dict[str, float]:
    """Compute hit rate and MRR at 20; predictions in the numbers of `songs`."""
    ranks = judge(model, predictions, songs).ranks
    return {"hit_rate_at_20": hit_rate(ranks, 20), "mrr_at_20": mrr(ranks, 20)}
