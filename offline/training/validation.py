"""The validation split: the last plays of a log, excluded from training."""

from __future__ import annotations

from dataclasses import dataclass

from segue.models.bundles.bundle import TrainingData
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.offline.datasets.play_log import PlayLog
from segue.offline.datasets.sessions import Numbering, Predictions
from segue.offline.metrics.full_ranking import metrics_at_20
from segue.offline.training.baselines import BASELINES
from segue.offline.training.trainer import TrainingError

VALIDATION_PREDICTIONS = 5_000


@dataclass(frozen=True)
class ValidationSplit:
    """A log cut in two by time.

    log, sessions: the plays to train on. songs: those of `sessions` alone. validation: the next
    songs to predict in the later plays; None without a split.
    """

    log: PlayLog
    sessions: SessionLog
    songs: Vocabulary
    validation: Predictions | None

    @classmethod
    def of(
        cls,
        log: PlayLog,
        fraction: float,
        session_gap_s: float,
        seed: int = 0,
        limit: int | None = VALIDATION_PREDICTIONS,
    ) -> ValidationSplit:
        """Split off the last `fraction` of the plays.

        limit: predictions to draw from it by `seed`; None keeps all.
        """
        numbering = Numbering()
        if not fraction:
            return cls(log, numbering.number(log, session_gap_s), numbering.songs, None)
        earlier, later = log.split_by_time(1 - fraction)
        sessions = numbering.number(earlier, session_gap_s)
        songs = Vocabulary(numbering.songs.song_ids)
        validation = Predictions.of(
            numbering.number(later, session_gap_s), len(songs), past=sessions
        )
        return cls(
            earlier,
            sessions,
            songs,
            validation if limit is None else validation.sample(limit, seed),
        )

    def with_popularity(
        self, hit_rate_at_20: float | None, mrr_at_20: float | None
    ) -> dict[str, float | None]:
        """Return a model's metrics and those of popularity on the same predictions."""
        popular: dict[str, float] = {}
        if self.validation is not None and len(self.validation):
            popularity = BASELINES["popularity"]
            counted = popularity.fit(self.sessions, self.songs, popularity.configs[0])
            popular = metrics_at_20(counted, self.validation, self.songs)
        return {
            "hit_rate_at_20": hit_rate_at_20,
            "mrr_at_20": mrr_at_20,
            "popularity_hit_rate_at_20": popular.get("hit_rate_at_20"),
            "popularity_mrr_at_20": popular.get("mrr_at_20"),
        }


def check_not_empty(validation: Predictions | None) -> Predictions:
    """Return the predictions; TrainingError where there are none."""
    if validation is None or not len(validation):
        raise TrainingError(
            "the validation split has no next song to predict: give a longer play log, or a "
            "larger --validation-fraction"
        )
    return validation


def training_data(log: PlayLog, sessions: Ragged, songs: int, seed: int) -> TrainingData:
    """Return what a bundle's manifest says of the log that it was trained on.

    sessions: of the log, in item numbers. songs: in the vocabulary.
    """
    times = log.plays["played_at_ms"]
    return TrainingData(
        plays=len(sessions.values),
        sessions=len(sessions),
        songs=songs,
        from_ms=times.min(),  # type: ignore[arg-type]
        to_ms=times.max(),  # type: ignore[arg-type]
        format=log.format,
        timed=log.timed,
        seed=seed,
    )
