"""Lists a second without Kafka: what serves a hybrid, beside its plain form."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from torch import Tensor

from segue.models.bundles.bundle import read_bundle
from segue.models.hybrid.model import HybridNextSong
from segue.models.ranking.inputs import RankingInputs
from segue.models.recommenders.base import PopularityRecommender, Recommender, Request
from segue.models.recommenders.hybrid import HybridRecommender
from segue.models.reranking.rule_engine import RuleBook
from segue.offline.benchmarks.dataset import bench_world
from segue.offline.benchmarks.in_process import WorldFeed, one_thread, requests_of, scratch_store
from segue.stream.config.settings import Settings, load_settings
from segue.stream.serving.factory import recommender_config

BATCHES = (1, 32, 256)
LEAST_REQUESTS = 256
WARM_UP_PLAYS = 4_096


@dataclass(frozen=True)
class ListsConfig:
    """songs, plays: of the world. requests: real ones, asked again and again.

    seconds: of each measurement, at least.
    """

    songs: int = 100_000
    plays: int = 60_000
    requests: int = 1_024
    rounds: int = 3
    seconds: float = 2.0
    seed: int = 1

    def __post_init__(self) -> None:
        if self.requests < LEAST_REQUESTS:
            raise ValueError(f"requests must be >= {LEAST_REQUESTS}, got {self.requests!r}")


class PlainRanked(HybridNextSong):
    """A hybrid whose candidates are ranked by the network as it was trained, layer by layer."""

    def shares(self, inputs: RankingInputs) -> Tensor:
        """Return the candidates' log-shares, float32 [B, C]; -inf where there is none."""
        vectors = self.parts.gru.vectors[inputs.known_items]
        logits: Tensor = self.ranker(inputs, vectors)[0]
        return logits.log_softmax(1)


def measure_lists(config: ListsConfig, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure each contender at each batch size, in turn, and give lists a second."""
    kept = load_settings().data_dir / "bench"
    world = bench_world(kept, "hybrid", config.songs, config.plays, config.seed, say)
    settings = load_settings(bundle=world.bundle)
    contenders = _contenders(world.bundle, settings)
    feed = WorldFeed(world.plays, settings.topic_partitions)
    with tempfile.TemporaryDirectory(prefix="lists-") as directory, one_thread():
        store = scratch_store(Path(directory), settings)
        requests_of(feed(WARM_UP_PLAYS), store, settings)
        requests = requests_of(feed(config.requests), store, settings)
        rounds = []
        for number in range(1, config.rounds + 1):
            one = {
                size: {
                    who: lists_per_s(made, requests, size, config.seconds)
                    for who, made in contenders.items()
                }
                for size in BATCHES
            }
            rounds.append(one)
            rates = (f"{size} at a time {each['hybrid']:,.0f}" for size, each in one.items())
            say(f"Round {number}, lists/s of the hybrid: {', '.join(rates)}")
        store.close()
    return {"songs": config.songs, "batches": [batch_figures(size, rounds) for size in BATCHES]}


def _contenders(directory: Path, settings: Settings) -> dict[str, Recommender]:
    bundle, config = read_bundle(directory, kind="hybrid"), recommender_config(settings)
    popularity, version = bundle.weights["popularity"], bundle.manifest.version
    book = RuleBook(config.rules)
    book.catalogue.offer(bundle.details)
    model = HybridNextSong.from_bundle(bundle)
    plain = PlainRanked(model.generator, model.ranker, model.vocabulary, popularity)
    return {
        "hybrid": HybridRecommender(model, popularity, version, config, book),
        "plain": HybridRecommender(plain, popularity, version, config, book),
        "popularity": PopularityRecommender(config, book=book),
    }


def lists_per_s(
    recommender: Recommender, requests: Sequence[Request], size: int, seconds: float
) -> float:
    """Ask for lists, `size` at a time, for so long and the batch that is on."""
    recommender.recommend(requests[:size])  # what is compiled or cached is so by now
    began, lists = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        start = lists % (len(requests) - size + 1)
        recommender.recommend(requests[start : start + size])
        lists += size
    return lists / (time.perf_counter() - began)


def batch_figures(size: int, rounds: Sequence[Mapping[int, Mapping[str, float]]]) -> dict[str, Any]:
    """Return medians over the rounds; the ratios are those of the rounds' ratios.

    ratio: of the hybrid to its plain form. popularity_ratio: to no model at all.
    """
    rows = [each[size] for each in rounds]
    return {
        "batch": size,
        **{f"{who}_lists_per_s": median(one[who] for one in rows) for who in rows[0]},
        "ratio": median(one["hybrid"] / one["plain"] for one in rows),
        "popularity_ratio": median(one["hybrid"] / one["popularity"] for one in rows),
    }
