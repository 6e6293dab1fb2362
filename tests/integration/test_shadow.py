"""A model on trial beside a real broker: what is published, and what real workers count."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from segue.models.recommenders.base import PopularityRecommender, RecommenderConfig
from segue.stream.messages.events import encode
from segue.stream.messages.records import Record
from segue.stream.observability.metrics import Metrics, ShadowMetrics
from segue.stream.online_eval.prequential import PrequentialEvaluator
from segue.stream.online_eval.shadow import Shadow
from segue.stream.state.store import HistoryStore
from segue.stream.worker.processor import Processor
from tests.support.live import Reader, event
from tests.support.toy_recommenders import Always, Broken

pytestmark = pytest.mark.broker
NOW_S = 1_700_000_000


def records(settings, count: int) -> Sequence[Record]:
    """Make records of one partition, as they come from its log."""
    return [
        Record(settings.topic_plays, 0, n, NOW_S * 1000, b"u", encode(event(n, "u", f"s{n % 3}")))
        for n in range(count)
    ]


def test_lists_are_published_the_same_whether_a_shadow_fails_or_none_is_there(broker_settings):
    async def publish(data: str, shadow: Always | None) -> float | None:
        metrics, config = Metrics(), RecommenderConfig(10, 1, 20)
        processor = Processor(
            broker_settings,
            HistoryStore(broker_settings.data_dir / data),
            PopularityRecommender(config),
            PrequentialEvaluator(PopularityRecommender(config)),
            metrics,
            clock=lambda: NOW_S,
            shadow=Shadow(shadow, ShadowMetrics(metrics)) if shadow else None,
        )
        everything = records(broker_settings, 12)
        async with processor:
            for start in range(0, 12, 3):
                await processor.publish(await processor.answer(everything[start : start + 3]))
        return metrics.registry.get_sample_value("segue_shadow_errors_total")

    reader = Reader(broker_settings, broker_settings.topic_recommendations)
    assert asyncio.run(publish("without", None)) is None
    assert asyncio.run(publish("with", Broken())) == 1
    values = [record.value for record in reader.read_until(lambda found: len(found) >= 24)]
    reader.close()
    assert values[:12] == values[12:]
