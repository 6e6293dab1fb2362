"""From settings to what makes lists and what keeps histories: in workers and in replay alike."""

from __future__ import annotations

from pathlib import Path

from segue.models.recommenders.base import PopularityRecommender, Recommender, RecommenderConfig
from segue.models.reranking.rule_engine import RuleBook
from segue.stream.config.settings import Settings
from segue.stream.serving.rules import load_rules
from segue.stream.state.config import HistoryConfig, StoreConfig

DAY_MS = 86_400_000


def load_recommender(settings: Settings, book: RuleBook | None = None) -> Recommender:
    """Load the bundle of the settings; without one, lists come from popularity alone.

    book: the rules; those of the settings if left out.
    """
    config, book = recommender_config(settings), book or load_rules(settings)
    if settings.bundle is None:
        return PopularityRecommender(config, book=book)
    return load_bundle(settings.bundle, config, book=book)


def load_bundle(
    directory: Path,
    config: RecommenderConfig,
    version: str | None = None,
    book: RuleBook | None = None,
) -> Recommender:
    """Read a bundle, verify it, and answer a request by it, so that the first play need not wait.

    version: the only one that will do; None takes any. book: the rules; without, the songs
    just heard are left out as `config` says. Raises BundleError.
    """
    from segue.models.bundles.bundle import BundleError, read_bundle
    from segue.models.registry import recommender_of

    bundle = read_bundle(directory, kind=None)
    if version not in (None, bundle.manifest.version):
        raise BundleError(
            f"{directory} holds {bundle.manifest.version}, not {version}: activate what it holds"
        )
    return recommender_of(bundle, config, book)


def recommender_config(settings: Settings) -> RecommenderConfig:
    """Return the recommender's configuration."""
    return RecommenderConfig(
        settings.list_length,
        settings.no_repeat_songs,
        settings.candidates,
        threads=settings.worker_threads,
    )


def store_config(settings: Settings) -> StoreConfig:
    """Return the store's configuration."""
    return StoreConfig(
        HistoryConfig(
            settings.history_max_songs,
            int(settings.history_max_days * DAY_MS),
            int(settings.session_gap_s * 1000),
            settings.session_max_songs,
        ),
        popularity_half_life_ms=int(settings.popularity_half_life_days * DAY_MS),
        popularity_max_songs=settings.popularity_max_songs,
        popular_list_length=_popular_songs(settings),
        recent_plays=settings.recent_plays,
        map_size=settings.store_size_mb << 20,
        max_map_size=settings.store_max_size_mb << 20,
    )


def _popular_songs(settings: Settings) -> int:
    """Count the popular songs that a list is made from: more where rules may hide most."""
    least = settings.list_length + settings.no_repeat_songs
    if settings.rules_file is None:
        return least
    return max(least, min(settings.candidates, settings.popularity_max_songs))
