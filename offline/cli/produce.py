"""`segue produce`: send a play log to the topic of plays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from segue.offline.cli import options as opt

if TYPE_CHECKING:
    import polars as pl

    from segue.offline.operations.producer import Position, Trace
    from segue.stream.config.settings import Settings


@click.command()
@click.argument("file", type=opt.EXISTING)
@opt.group(opt.FORMAT, opt.rate("Plays to send per second."))
@click.option(
    "--speed",
    type=opt.POSITIVE,
    help="Keep the log's own timing, so many times as fast.",
)
@opt.limit("Send only so many of the log's first plays.")
@click.option("--resume", is_flag=True, help="Continue after the last delivered play.")
@click.option(
    "--now",
    type=click.Choice(["first", "last"]),
    help="Shift all times so that the first, or the last, play is now.",
)
@click.option(
    "--trace-every",
    type=opt.COUNT,
    help="Start a trace with one of so many plays. Needs SEGUE_TRACING_ENDPOINT.",
)
def produce(
    file: Path,
    format_name: str | None,
    rate: float | None,
    speed: float | None,
    limit: int | None,
    resume: bool,
    now: str | None,
    trace_every: int | None,
) -> None:
    """Send the plays of FILE to the topic of plays, oldest first.

    Without --rate or --speed it is as fast as the broker accepts plays. Event ids are the
    file's name and the play's number, so sending a log twice produces the same events. The
    position that the broker confirmed is kept in the data directory: after Ctrl-C or an error,
    --resume continues there, with the same shift of times.

    \b
    Examples:
      segue produce plays.csv
      segue produce plays.csv --rate 100 --now last
      segue produce plays.csv --speed 60 --limit 10000
      segue produce plays.csv --resume
      SEGUE_TRACING_ENDPOINT=http://otel:4318/v1/traces segue produce plays.csv --trace-every 100
    """
    from segue.offline.datasets.readers import read_plays
    from segue.offline.operations.producer import Position, check_sendable
    from segue.stream.kafka.topics import require_topics

    if rate is not None and speed is not None:
        raise click.UsageError("--rate and --speed exclude each other: give one")
    settings = opt.load_settings()
    log = read_plays(file, format_name)
    check_sendable(log, speed)
    require_topics(settings)
    plays = log.plays.head(limit) if limit else log.plays
    position_file = Position.file(settings.data_dir, file, settings.topic_plays)
    if resume:
        position = Position.load(position_file, log.plays.height)
    else:
        position = Position(0, log.plays.height, _shift_ms(plays, now))
    position.save(position_file)
    with _tracing(settings, trace_every) as trace:
        _send(settings, file, plays, position, position_file, rate, speed, trace)


@contextmanager
def _tracing(settings: Settings, every: int | None) -> Iterator[Trace | None]:
    from segue.offline.operations.producer import Trace
    from segue.stream.observability.tracing import open_tracing

    if every is None:
        yield None
        return
    tracing = open_tracing(settings, "segue-produce")
    if tracing is None:
        raise click.UsageError("--trace-every needs SEGUE_TRACING_ENDPOINT: where traces go")
    try:
        yield Trace(tracing, every)
    finally:
        tracing.close()


def _shift_ms(plays: pl.DataFrame, now: str | None) -> int:
    import time

    if now is None or plays.is_empty():
        return 0
    row = 0 if now == "first" else -1
    return time.time_ns() // 1_000_000 - int(plays["played_at_ms"][row])


def _send(
    settings: Settings,
    file: Path,
    plays: pl.DataFrame,
    position: Position,
    position_file: Path,
    rate: float | None,
    speed: float | None,
    trace: Trace | None,
) -> None:
    import signal
    import threading

    import polars as pl

    from segue.offline.operations.producer import ProduceError, log_name, send_plays
    from segue.offline.reporting.progress import plays_progress
    from segue.stream.kafka.clients import KafkaUnavailable

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    shifted = plays.with_columns(pl.col("played_at_ms") + position.shift_ms)
    with plays_progress("Sending", plays.height, position.delivered) as advance:

        def delivered(rows: int) -> None:
            position.delivered = rows
            position.save(position_file)
            advance(rows)

        try:
            send_plays(
                settings,
                shifted,
                log_name(file),
                rate=rate,
                speed=speed,
                start=position.delivered,
                on_delivered=delivered,
                stop=stop,
                trace=trace,
            )
        except KafkaUnavailable as error:
            raise ProduceError(f"{error}. {_remedy(position)}") from error
    if position.delivered >= plays.height:
        click.echo(f"{plays.height:,} plays delivered.", err=True)
    else:
        click.echo(f"Stopped. {_remedy(position)}", err=True)


def _remedy(position: Position) -> str:
    done = f"{position.delivered:,} plays are delivered"
    return f"{done}; continue with the same command and --resume"
