"""OpenTelemetry traces from a play to the list that it causes, where they are asked for.

A play that carries a W3C trace context in its Kafka header `traceparent` is followed: its list
carries the context on, and the spans say what its batch waited for. Other plays cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from segue.models.errors import SegueError
from segue.models.recommenders.base import Stage
from segue.stream.config.settings import Settings
from segue.stream.messages.events import Cause
from segue.stream.messages.records import Headers, Record

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
MAX_LINKS = 128
"""Plays that a batch's span names: as many as OpenTelemetry keeps by default."""


class TracingError(SegueError):
    """Traces are asked for and cannot be had."""


def open_tracing(settings: Settings, service: str) -> Tracing | None:
    """Return what sends traces to `tracing_endpoint`; None where it is not set.

    service: as traces name the process. Raises TracingError where OpenTelemetry is missing.
    """
    if settings.tracing_endpoint is None:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TracingError(
            f"tracing_endpoint = {settings.tracing_endpoint!r} needs OpenTelemetry, which is not "
            "installed: pip install 'segue[tracing]', or leave it out"
        ) from error
    exporter = OTLPSpanExporter(endpoint=settings.tracing_endpoint)
    return Tracing(BatchSpanProcessor(exporter), service)


class BatchTrace:
    """The trace of a batch in which no play is traced: stages are timed and nothing else."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def headers(self, cause: Cause) -> list[tuple[str, bytes]]:
        """Return the Kafka headers that carry the context of a play to its list."""
        return []

    def end(self, error: Exception | None = None) -> None:
        """End the spans; error: why the batch failed."""

    @contextmanager
    def failing(self) -> Iterator[None]:
        """End the spans with the exception that the block raises, if it raises one."""
        try:
            yield
        except Exception as error:
            self.end(error)
            raise


class NoTracing:
    """Traces nothing."""

    def follow(self, records: Sequence[Record], stage: Stage) -> BatchTrace:
        """Return the trace of a batch, which only times its stages."""
        return BatchTrace(stage)

    def close(self) -> None:
        """Do nothing."""


class Tracing:
    """Follows plays that carry a trace context, and begins traces for those who send plays."""

    def __init__(self, processor: SpanProcessor, service: str) -> None:
        """processor: receives ended spans."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = TracerProvider(resource=Resource.create({"service.name": service}))
        self._provider.add_span_processor(processor)
        self.tracer: Any = self._provider.get_tracer("segue")
        self.propagator = TraceContextTextMapPropagator()

    def follow(self, records: Sequence[Record], stage: Stage) -> BatchTrace:
        """Begin the spans of a batch, if any of its plays is traced.

        stage: what also times the stages.
        """
        traced = [(record, carrier) for record in records if (carrier := _carrier(record.headers))]
        return SpannedBatch(self, traced, len(records), stage) if traced else BatchTrace(stage)

    @contextmanager
    def sent_play(self, topic: str) -> Iterator[Headers]:
        """Begin a trace with the sending of a play; give the headers that carry it."""
        from opentelemetry.trace import SpanKind

        attributes = {"messaging.system": "kafka", "messaging.destination.name": topic}
        with self.tracer.start_as_current_span(
            f"send {topic}", kind=SpanKind.PRODUCER, attributes=attributes
        ):
            yield self.headers()

    def headers(self, context: Any = None) -> list[tuple[str, bytes]]:
        """Write a context as Kafka headers; the current one if left out."""
        carrier: dict[str, str] = {}
        self.propagator.inject(carrier, context)
        return [(name, value.encode()) for name, value in carrier.items()]

    def close(self) -> None:
        """Send what has not been sent yet."""
        self._provider.shutdown()


class SpannedBatch(BatchTrace):
    """The spans of one batch, and of each play in it that is traced.

    A batch has many causes and a span one parent: so it begins a trace of its own, linked to the
    plays' traces and they to it, as OpenTelemetry's conventions for messaging have it.
    """

    def __init__(
        self,
        tracing: Tracing,
        traced: Sequence[tuple[Record, dict[str, str]]],
        plays: int,
        stage: Stage,
    ) -> None:
        from opentelemetry.trace import Link, SpanKind, get_current_span, set_span_in_context

        super().__init__(self._stage)
        self._tracing = tracing
        self._times = stage
        parents = [tracing.propagator.extract(carrier) for _, carrier in traced]
        links = [Link(get_current_span(one).get_span_context()) for one in parents[:MAX_LINKS]]
        topic = traced[0][0].topic
        self._batch = tracing.tracer.start_span(
            f"process {topic}",
            kind=SpanKind.CONSUMER,
            links=links,
            attributes={"messaging.system": "kafka", "messaging.batch.message_count": plays},
        )
        self._context = set_span_in_context(self._batch)
        to_batch = [Link(self._batch.get_span_context())]
        self._plays = {
            (record.partition, record.offset): tracing.tracer.start_span(
                "recommend",
                context=parent,
                kind=SpanKind.CONSUMER,
                links=to_batch,
                attributes={
                    "messaging.system": "kafka",
                    "messaging.destination.name": record.topic,
                    "messaging.destination.partition.id": str(record.partition),
                    "messaging.kafka.offset": record.offset,
                },
            )
            for (record, _), parent in zip(traced, parents, strict=True)
        }

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """Time one stage of the batch within a span of its own; any thread may call this."""
        with (
            self._times(name),
            self._tracing.tracer.start_as_current_span(name, context=self._context),
        ):
            yield

    def headers(self, cause: Cause) -> list[tuple[str, bytes]]:
        """Return the Kafka headers that carry the context of a traced play to its list."""
        from opentelemetry.trace import set_span_in_context

        span = self._plays.get((cause.partition, cause.offset))
        return [] if span is None else self._tracing.headers(set_span_in_context(span))

    def end(self, error: Exception | None = None) -> None:
        """End the spans; error: why the batch failed."""
        from opentelemetry.trace import Status, StatusCode

        for span in (*self._plays.values(), self._batch):
            if error is not None:
                span.record_exception(error)
                span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
            span.end()


def _carrier(headers: Headers) -> dict[str, str] | None:
    """Read the trace context of a record; None where it has none."""
    found = {
        name: value.decode("ascii", "replace")
        for name, value in headers
        if name in (TRACEPARENT, TRACESTATE) and value
    }
    return found if TRACEPARENT in found else None
