"""Traces from a play to its list, over a real broker, and at no cost to plays without one."""

from __future__ import annotations

import asyncio
import time

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from segue.models.recommenders.base import PopularityRecommender
from segue.offline.operations.producer import Trace, _deliver, _producer
from segue.offline.replay.sources import TopicSource
from segue.stream.config.settings import load_settings
from segue.stream.messages.events import Cause, encode
from segue.stream.messages.records import Record
from segue.stream.observability.metrics import Metrics
from segue.stream.observability.tracing import Tracing, open_tracing
from segue.stream.online_eval.prequential import PrequentialEvaluator
from segue.stream.serving.factory import recommender_config
from segue.stream.state.store import HistoryStore
from segue.stream.worker.processor import Processor
from tests.support.live import Reader, event, lists

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CARRIED = ("traceparent", f"00-{TRACE}-{SPAN}-01".encode())


@pytest.fixture
def spans():
    return InMemorySpanExporter()


@pytest.fixture
def tracing(spans):
    return Tracing(SimpleSpanProcessor(spans), "test")


def processor_of(settings, path, tracing):
    first = PopularityRecommender(recommender_config(settings))
    return Processor(
        settings, HistoryStore(path), first, PrequentialEvaluator(first), Metrics(), tracing=tracing
    )


def records_of(count, traced=()):
    return [
        Record(
            *("plays", 0, n, int(time.time() * 1000), b"u", encode(event(n, f"u{n}", "song"))),
            [CARRIED] if n in traced else (),
        )
        for n in range(count)
    ]


@pytest.mark.broker
def test_a_lists_headers_carry_its_plays_trace(broker_settings, tmp_path, tracing, spans):
    async def work():
        async with processor_of(broker_settings, tmp_path / "histories", tracing) as processor:
            await processor.publish(await processor.answer(records_of(3, traced=[1])))
            await processor.publish(await processor.answer(records_of(3)))  # again, and untraced

    asyncio.run(work())
    reader = Reader(broker_settings, broker_settings.topic_recommendations)
    records = reader.read_until(lambda records: len(records) == 6)
    reader.close()
    # Both batches are in partition 0, in the order they were made in.
    assert [one.headers for one in records[3:]] == [[], [], []]
    reported = zip(lists(records[:3]), records[:3], strict=True)
    carried = {made.cause.offset: one.headers for made, one in reported}
    assert carried[0] == carried[2] == []
    [(name, value)] = carried[1]
    version, trace, span, flags = value.decode().split("-")
    assert (name, version, trace, flags) == ("traceparent", "00", TRACE, "01")
    found = {one.name: one for one in spans.get_finished_spans()}
    batch, play = found.pop("process plays"), found.pop("recommend")
    assert f"{play.context.span_id:016x}" == span != SPAN
    assert f"{play.parent.span_id:016x}" == SPAN
    assert play.attributes["messaging.kafka.offset"] == 1
    assert [one.context.span_id for one in play.links] == [batch.context.span_id]
    assert [f"{one.context.span_id:016x}" for one in batch.links] == [SPAN]
    assert batch.attributes["messaging.batch.message_count"] == 3
    assert {"decode", "histories", "score", "publish"} <= set(found)
    for one in found.values():
        assert one.parent.span_id == batch.context.span_id
        assert batch.start_time <= one.start_time <= one.end_time <= batch.end_time


def test_a_batch_without_a_trace_has_no_span(tracing, spans):
    assert tracing.follow(records_of(3), Metrics().stage).headers(Cause("e", 0, 1)) == []
    broken = Record("plays", 0, 0, 0, None, None, [("traceparent", b""), ("other", b"x")])
    tracing.follow([broken], Metrics().stage).end()
    assert spans.get_finished_spans() == ()


def test_a_batch_that_fails_says_so_in_its_spans(tracing, spans):
    with pytest.raises(KeyError), tracing.follow(records_of(1, [0]), Metrics().stage).failing():
        raise KeyError("song")
    found = spans.get_finished_spans()
    assert {one.name for one in found} == {"process plays", "recommend"}
    assert {one.status.status_code for one in found} == {StatusCode.ERROR}


@pytest.mark.broker
def test_plays_that_are_sent_begin_traces(broker_settings, tracing, spans):
    sent = ((b"u", encode(event(n, "u"))) for n in range(5))
    with _producer(broker_settings) as producer:
        _deliver(producer, broker_settings.topic_plays, sent, Trace(tracing, every=4))
    source = TopicSource.open(broker_settings)
    records = [
        one for each in source.partitions for one in source.records(each, 0, source.ends[each])
    ]
    traced = [one for one in records if one.headers]
    assert [one.offset for one in traced] == [0, 4]
    contexts = [dict(one.headers)["traceparent"].decode().split("-")[1] for one in traced]
    assert contexts == [f"{one.context.trace_id:032x}" for one in spans.get_finished_spans()]


def test_traces_go_nowhere_unless_asked_for():
    assert open_tracing(load_settings(), "test") is None
    made = open_tracing(load_settings(tracing_endpoint="http://127.0.0.1:1/v1/traces"), "test")
    assert made is not None
    made.close()
