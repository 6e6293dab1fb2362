"""One partition replayed: its plays through `handle_plays`, and a record of each."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as replace_fields
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Protocol, TypeVar

from msgspec.structs import replace

from segue.models.recommenders.base import PopularityRecommender, Recommender
from segue.offline.replay.judging import BatchJudge, look_back
from segue.offline.replay.model_timeline import Timeline
from segue.offline.replay.record_log import RecordLog
from segue.offline.replay.sources import OPEN, Bound, PlaySource
from segue.stream.config.settings import Settings
from segue.stream.messages.events import Play, RecommendationList, rfc3339
from segue.stream.messages.records import Record, read_batch
from segue.stream.serving.factory import (
    load_bundle,
    load_recommender,
    recommender_config,
    store_config,
)
from segue.stream.serving.pipeline import handle_plays, recover_batch
from segue.stream.serving.rules import load_rules
from segue.stream.state.store import HistoryStore

T = TypeVar("T")
Advance = Callable[[int], None]
"""Called with the number of plays replayed so far."""


class ListSink(Protocol):
    """Takes lists as they are made: to publish them, or to compare them."""

    def take(self, lists: Sequence[RecommendationList]) -> None:
        """Accept the lists of a batch, in order."""
        ...

    def close(self) -> None:
        """End the records."""
        ...


@dataclass(frozen=True)
class Job:
    """What is to be replayed: a partition of a source under settings, from `begin` to `end`.

    Plays before `begin` build up histories and popularity; no list is made for them.
    directory: where the partition's records and histories are kept. keep: whether they are to
    outlive a power cut, and the histories the replay. clock_ms: the time that lists carry; None
    gives each the time of its play. swaps: bundles that take over, each from a time on. served:
    those of which captured lists tell that they did, each from an offset on; they come before
    swaps.
    """

    settings: Settings
    source: PlaySource
    partition: int
    directory: Path
    begin: Bound = OPEN
    end: Bound = OPEN
    keep: bool = False
    clock_ms: int | None = None
    swaps: tuple[tuple[int, Path], ...] = ()
    served: tuple[tuple[int, Path | None], ...] = ()


@dataclass
class Done:
    """What came of a job, this time.

    batches: (plays, seconds in `handle_plays`) of each batch. began_s, ended_s: by the machine's
    monotonic clock. popularity_s: what making lists of popular songs took.
    """

    partition: int
    first: int
    end: int
    finished: bool = False
    began_s: float = 0.0
    ended_s: float = 0.0
    rejected: int = 0
    popularity_s: float = 0.0
    batches: list[tuple[int, float]] = field(default_factory=list)


def replay_partition(
    job: Job,
    recommender: Recommender,
    known: Collection[str],
    sinks: Sequence[ListSink] = (),
    advance: Advance = lambda plays: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Done:
    """Replay one partition, or what is left of it, until its end or until `stopped`.

    known: the songs of the bundle. Equal jobs leave equal records, however often they were
    stopped and in whatever process they ran.
    """
    first, end = job.source.span(job.partition, job.begin, job.end)
    log = RecordLog(job.directory, job.settings.list_length, first)
    done = Done(job.partition, first, end, finished=log.end >= end, began_s=time.monotonic())
    advance(log.count)
    if done.finished:
        return done
    store = _open_store(job, log.end)
    judge = BatchJudge(log, PopularityRecommender(recommender.config), known)
    timeline = _timeline(job, recommender)
    try:
        if _warm_up(job, store, log.end, stopped):
            for records in _batches(job, log.end, end):
                for model, part in timeline.parts(records):
                    _replay_batch(job, part, store, model, judge, log, sinks, done)
                advance(log.count)
                if stopped():
                    break
            else:
                log.pad(end)  # where a topic ends in records that no consumer sees
        done.finished, done.ended_s = log.end >= end, time.monotonic()
        done.popularity_s = judge.popularity_s
    finally:
        store.close()
    if not job.keep:
        shutil.rmtree(_histories(job))
    return done


def _replay_batch(
    job: Job,
    records: Sequence[Record],
    store: HistoryStore,
    recommender: Recommender,
    judge: BatchJudge,
    log: RecordLog,
    sinks: Sequence[ListSink],
    done: Done,
) -> None:
    batch = read_batch(records, job.settings)
    done.rejected += len(batch.dead_letters)
    for erasures, plays, next_offsets in batch.sub_batches():
        if erasures:
            store.erase(erasures)
        before = list(look_back(store, plays, store.config.history))
        began = time.perf_counter()
        appended, lists = handle_plays(
            plays, next_offsets, store, recommender, now_ms=job.clock_ms or 0
        )
        done.batches.append((len(plays), time.perf_counter() - began))
        if job.clock_ms is None:
            lists = [at_its_play(one, made) for one, made in zip(plays, lists, strict=True)]
        for sink in sinks:
            sink.take(lists)
        end = next_offsets[job.partition] if next_offsets else plays[-1].offset + 1
        log.append(judge.judge(end, before, appended, lists))


def at_its_play(play: Play, made: RecommendationList) -> RecommendationList:
    """Date a list by the play that caused it."""
    return replace(made, generated_at=rfc3339(play.played_at_ms))


def _timeline(job: Job, first: Recommender) -> Timeline:
    if job.served:
        return Timeline(first, job.served, lambda one: _load(job, one), attrgetter("offset"))
    return Timeline(first, job.swaps, lambda one: _load(job, one))


def _load(job: Job, directory: Path | None) -> Recommender:
    settings = job.settings
    if directory is None:
        return load_recommender(settings.model_copy(update={"bundle": None}))
    return load_bundle(directory, recommender_config(settings), book=load_rules(settings))


def _open_store(job: Job, reached: int) -> HistoryStore:
    """Open the histories; rebuild them where they are ahead of the records.

    A crash between the two leaves the histories a batch ahead, and then popularity is not what
    it was: but all of it is a function of the log, which is read again.
    """
    config = replace_fields(store_config(job.settings), sync=job.keep)
    store = HistoryStore(_histories(job), config)
    position = store.position(job.partition) or 0
    if position <= reached:
        return store
    store.close()
    shutil.rmtree(_histories(job))
    return HistoryStore(_histories(job), config)


def _warm_up(job: Job, store: HistoryStore, reached: int, stopped: Callable[[], bool]) -> bool:
    """Bring histories and popularity up to offset `reached`, making no list; tell if they are."""
    position = store.position(job.partition) or 0
    for records in _batches(job, position, reached):
        recover_batch(read_batch(records, job.settings), store)
        if stopped():
            return (store.position(job.partition) or 0) >= reached
    return True


def _batches(job: Job, start: int, end: int) -> Iterator[list[Record]]:
    return in_batches(job.source.records(job.partition, start, end), job.settings.batch_max)


def _histories(job: Job) -> Path:
    return job.directory / "histories"


def in_batches(items: Iterator[T], size: int) -> Iterator[list[T]]:
    """Cut into lists of `size`, the last one perhaps shorter.

    >>> list(in_batches(iter("abcde"), 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    while batch := list(islice(items, size)):
        yield batch
