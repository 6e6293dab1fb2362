"""Lists a second without Kafka, of the hybrid as it serves and of its reference form."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from segue.models.bundles.bundle import read_bundle
from segue.models.hybrid.model import HybridNextSong
from segue.models.ranking.inputs import RankingInputs
from segue.models.recommenders.base import PopularityRecommender, Recommender, Request
from segue.models.recommenders.hybrid import HybridRecommender
from segue.models.reranking.rule_engine import RuleBook
from segue.offline.benchmarks.ann import facts, recall_plot, summary
from segue.offline.benchmarks.dataset import bench_world
from segue.offline.benchmarks.environment import medians
from segue.offline.benchmarks.in_process import WorldFeed, one_thread, requests_of, scratch_store
from segue.offline.reporting.document import Block, Heading, Paragraph, Table, table_of
from segue.stream.config.settings import Settings, load_settings
from segue.stream.serving.factory import recommender_config

BATCHES = (1, 32, 256)
LEAST_REQUESTS = 256
WARM_UP_PLAYS = 4_096


@dataclass(frozen=True)
class ListsConfig:
    """songs, plays: of the world. seconds: of each measurement, at least."""

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
    """A hybrid that ranks candidates by the network as it was trained, layer by layer."""

    def shares(self, inputs: RankingInputs) -> Tensor:
        """Return the candidates' log-probabilities, float32 [B, C]; -inf for padding."""
        vectors = self.parts.gru.vectors[inputs.known_items]
        logits: Tensor = self.ranker(inputs, vectors)[0]
        return logits.log_softmax(1)


def measure_lists(config: ListsConfig, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure each recommender at each batch size, in turn; return lists a second."""
    kept = load_settings().data_dir / "bench"
    world = bench_world(kept, "hybrid", config.songs, config.plays, config.seed, say)
    settings = load_settings(bundle=world.bundle)
    recommenders = _recommenders(world.bundle, settings)
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
                    for who, made in recommenders.items()
                }
                for size in BATCHES
            }
            rounds.append(one)
            rates = (f"{size} at a time {each['hybrid']:,.0f}" for size, each in one.items())
            say(f"Round {number}, lists/s of the hybrid: {', '.join(rates)}")
        store.close()
    batches = [
        {"batch": size, **medians([_figures(one[size]) for one in rounds])} for size in BATCHES
    ]
    return {"songs": config.songs, "batches": batches}


def _recommenders(directory: Path, settings: Settings) -> dict[str, Recommender]:
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
    """Return lists a second of batches of `size`, measured for at least `seconds`."""
    recommender.recommend(requests[:size])  # compiles and fills caches
    began, lists = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        start = lists % (len(requests) - size + 1)
        recommender.recommend(requests[start : start + size])
        lists += size
    return lists / (time.perf_counter() - began)


def _figures(rates: Mapping[str, float]) -> dict[str, float]:
    return {
        **{f"{who}_lists_per_s": rate for who, rate in rates.items()},
        "ratio": rates["hybrid"] / rates["plain"],
        "popularity_ratio": rates["hybrid"] / rates["popularity"],
    }


def models_blocks(figures: dict[str, Any]) -> Iterator[Block]:
    """Report lists a second, training throughput and the ANN index."""
    lists, training, ann = figures["lists"], figures["training"], figures["ann"]
    yield Heading("Lists without Kafka", 3)
    yield Paragraph(
        f"Lists a second of one thread from real requests (hybrid, {lists['songs']:,} songs): "
        "retrieval, ranking, rules and explanations. Its plain form ranks the candidates by the "
        "network as it was trained, layer by layer; popularity is what no model at all does."
    )
    yield table_of(
        lists["batches"],
        {
            "requests together": "{batch}",
            "hybrid, lists/s": "{hybrid_lists_per_s:,.0f}",
            "plain": "{plain_lists_per_s:,.0f}",
            "to plain": "{ratio:.2f}",
            "popularity": "{popularity_lists_per_s:,.0f}",
            "to it": "{popularity_ratio:.3f}",
        },
    )
    yield Heading("Training", 3)
    yield Paragraph(
        f"Next songs learned in a second by the GRU ({training['songs']:,} songs, dim "
        f"{training['dim']}) and by the simplest loop: an embedding, a GRU of the same size and "
        "the softmax over all songs, on padded batches."
    )
    yield table_of(
        [
            {**one, **{who: _mib(one[f"{who}_peak_mib"]) for who in ("gru", "plain")}}
            for one in training["threads"]
        ],
        {
            "threads": "{threads}",
            "GRU, plays/s": "{gru_plays_per_s:,.0f}",
            "simplest loop": "{plain_plays_per_s:,.0f}",
            "ratio": "{ratio:.1f}",
            "GRU, peak MiB": "{gru}",
            "loop, peak MiB": "{plain}",
        },
    )
    yield Heading(f"The index over {ann['songs']:,} songs", 3)
    yield Paragraph(" ".join(facts(ann)))
    yield Table(*summary(ann))
    yield recall_plot(ann)


def _mib(peak: float | None) -> str:
    return "unknown" if peak is None else f"{peak:,.0f}"
