"""Batches are answered one after the other, each while the one before it is published."""

from __future__ import annotations

import asyncio
import time

import pytest

from segue.models.recommenders.base import PopularityRecommender
from segue.stream.consumer.in_flight import InFlight
from segue.stream.messages.events import encode
from segue.stream.messages.records import Record
from segue.stream.observability.metrics import Metrics
from segue.stream.online_eval.prequential import PrequentialEvaluator
from segue.stream.serving.factory import recommender_config
from segue.stream.state.store import HistoryStore
from segue.stream.worker.processor import Processor
from tests.support.live import Reader, event, lists

BATCHES, PLAYS = 8, 40


@pytest.mark.broker
def test_batches_are_answered_beside_and_published_in_their_order(broker_settings, tmp_path):
    first = PopularityRecommender(recommender_config(broker_settings))
    store, now_ms = HistoryStore(tmp_path), int(time.time() * 1000)
    records = [
        Record("plays", 0, n, now_ms, b"u", encode(event(n, f"u{n % 3}", f"song-{n % 7}")))
        for n in range(BATCHES * PLAYS)
    ]
    in_flight = InFlight()
    started, most = 0, 0

    async def work():
        nonlocal started, most
        done = 0
        async with Processor(
            broker_settings, store, first, PrequentialEvaluator(first), Metrics()
        ) as processor:

            async def publish(answered):
                nonlocal done
                await processor.publish(answered)
                done += 1

            publishing = asyncio.create_task(in_flight.publish_each(publish))
            for begin in range(0, len(records), PLAYS):
                async with in_flight.turn():
                    started += 1
                    most = max(most, started - done)
                    await in_flight.put(await processor.answer(records[begin : begin + PLAYS]))
            await in_flight.drain()
            publishing.cancel()

    asyncio.run(work())
    assert most == 2
    reader = Reader(broker_settings, broker_settings.topic_recommendations)
    published = lists(reader.read_until(lambda found: len(found) == len(records)))
    reader.close()
    assert [made.cause.offset for made in published] == list(range(len(records)))
