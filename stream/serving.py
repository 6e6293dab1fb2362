"""From settings and a bundle's directory to what makes lists."""

from __future__ import annotations

from pathlib import Path

import faiss
import torch

from models.recommender import PopularityRecommender, Recommender, RecommenderConfig, Request
from stream.settings import Settings


def load_recommender(settings: Settings) -> Recommender:
    """Load the bundle of the settings; without one, lists come from popularity alone."""
    config = recommender_config(settings)
    if settings.bundle is None:
        return PopularityRecommender(config)
    return load_bundle(settings.bundle, config)


def load_bundle(
    directory: Path, config: RecommenderConfig, version: str | None = None
) -> Recommender:
    """Read a bundle, verify it, and answer a request by it, so that the first play need not wait.

    version: the only one that will do; None takes any. Raises BundleError.
    """
    from models.bundle import BundleError, read_bundle
    from models.recommenders import recommender_of

    bundle = read_bundle(directory, kind=None)
    if version not in (None, bundle.manifest.version):
        raise BundleError(
            f"{directory} holds {bundle.manifest.version}, not {version}: activate what it holds"
        )
    made = recommender_of(bundle, config)
    made.recommend([Request(bundle.vocabulary.song_ids[:2], ())])
    return made


def recommender_config(settings: Settings) -> RecommenderConfig:
    """Give lists their shape and their rule."""
    return RecommenderConfig(settings.list_length, settings.no_repeat_songs, settings.candidates)


def limit_threads(settings: Settings) -> None:
    """Let the calling thread compute with as many threads as the settings say."""
    # Both keep their count by thread.
    torch.set_num_threads(settings.worker_threads)
    faiss.omp_set_num_threads(settings.worker_threads)
