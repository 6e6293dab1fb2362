"""Runs a replay: every partition of every variant, in one process or in several."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from segue.models.recommenders.base import Recommender
from segue.offline.replay.model_timeline import ServedModels
from segue.offline.replay.partition import Done, Job, ListSink, replay_partition
from segue.offline.replay.publishing import ListPublisher
from segue.offline.replay.sources import OPEN, Bound, PlaySource
from segue.offline.replay.variants import Variant, known_songs
from segue.offline.replay.verification import Checked, Verifier
from segue.stream.config.settings import Settings
from segue.stream.runtime.garbage_collection import tune_garbage_collector
from segue.stream.serving.factory import load_recommender

LOOK_S = 0.2


@dataclass(frozen=True)
class ReplayConfig:
    """What is common to the jobs. directory: of their records, by variant and partition.

    verify: a captured topic to compare with. served: which bundles made its lists, by partition,
    from `served_bundles`. publish_to: a topic to publish to.
    """

    source: PlaySource
    directory: Path
    begin: Bound = OPEN
    end: Bound = OPEN
    keep: bool = False
    clock_ms: int | None = None
    verify: Path | None = None
    served: ServedModels = field(default_factory=dict)
    publish_to: str | None = None
    processes: int = 1

    def place(self, variant: int, partition: int) -> Path:
        """Name the directory of one job."""
        return self.directory / str(variant) / str(partition)


@dataclass(frozen=True)
class Ran:
    """What came of one variant's jobs. seconds: of the whole replay, of all variants."""

    variant: Variant
    done: list[Done] = field(default_factory=list)
    checked: Checked = field(default_factory=Checked)

    @property
    def finished(self) -> bool:
        """Whether every partition reached its end."""
        return all(one.finished for one in self.done)


_Task = tuple[int, Job, Path | None, str | None]
_shared: dict[str, Any] = {}


def replay_all(
    plan: ReplayConfig, variants: Sequence[Variant], advance: Callable[[int], None]
) -> tuple[list[Ran], float]:
    """Replay every variant and give what came of each, and the seconds that all of it took.

    advance: called with how many plays are handled, of all variants together. SIGINT and SIGTERM
    end the replay after the batches under way; what is recorded by then is whole.
    """
    tasks = list(_tasks(plan, variants))
    began = time.perf_counter()
    if min(plan.processes, len(tasks)) > 1:
        found = _run_beside(tasks, min(plan.processes, len(tasks)), advance)
    else:
        found = _run_here(tasks, advance)
    took_s = time.perf_counter() - began
    each = len(plan.source.partitions)
    ran = []
    for number, variant in enumerate(variants):
        mine = found[number * each : (number + 1) * each]
        checked = sum((one for _, one in mine), Checked())
        ran.append(Ran(variant, [done for done, _ in mine], checked))
    return ran, took_s


def _tasks(plan: ReplayConfig, variants: Sequence[Variant]) -> Iterator[_Task]:
    numbers = iter(range(10**9))
    for which, variant in enumerate(variants):
        for partition in plan.source.partitions:
            job = Job(
                variant.settings,
                plan.source,
                partition,
                plan.place(which, partition),
                plan.begin,
                plan.end,
                plan.keep,
                plan.clock_ms,
                variant.swaps,
                plan.served.get(partition, ()),
            )
            yield next(numbers), job, plan.verify, plan.publish_to


def _run_here(tasks: Sequence[_Task], advance: Callable[[int], None]) -> list[tuple[Done, Checked]]:
    handled = [0] * len(tasks)
    stop = [False]

    def on_plays(number: int, plays: int) -> None:
        handled[number] = plays
        advance(sum(handled))

    def end(*_: object) -> None:
        stop[0] = True

    with _signals(end):
        return [_run(task, on_plays, lambda: stop[0]) for task in tasks]


def _run_beside(
    tasks: Sequence[_Task], processes: int, advance: Callable[[int], None]
) -> list[tuple[Done, Checked]]:
    context = multiprocessing.get_context("spawn")  # a forked torch may hang
    stop, handled = context.Event(), context.Array("q", len(tasks))
    pool = ProcessPoolExecutor(processes, context, _begin, (stop, handled))
    with _signals(lambda *_: stop.set()), pool:
        futures = [pool.submit(_run_in_process, task) for task in tasks]
        waiting = set(futures)
        while waiting:
            _, waiting = wait(waiting, LOOK_S)
            advance(sum(handled[:]))
        return [future.result() for future in futures]


def _begin(stop: Any, handled: Any) -> None:
    """Set up a process of the pool: Ctrl-C is for its parent, which says when to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _shared.update(stop=stop, handled=handled)


def _run_in_process(task: _Task) -> tuple[Done, Checked]:
    def on_plays(number: int, plays: int) -> None:
        _shared["handled"][number] = plays

    return _run(task, on_plays, _shared["stop"].is_set)


def _run(
    task: _Task, on_plays: Callable[[int, int], None], stopped: Callable[[], bool]
) -> tuple[Done, Checked]:
    number, job, verify, publish_to = task
    recommender, known = _model(job.settings)
    verifier = Verifier(verify, job.partition) if verify else None
    publisher = ListPublisher(job.settings, publish_to) if publish_to else None
    sinks: list[ListSink] = [sink for sink in (verifier, publisher) if sink is not None]
    try:
        done = replay_partition(
            job, recommender, known, sinks, lambda plays: on_plays(number, plays), stopped
        )
        if verifier and done.finished:
            verifier.miss(done.first, done.end)
    finally:
        for sink in sinks:
            sink.close()
    return done, verifier.checked if verifier else Checked()


@lru_cache(maxsize=1)
def _model(settings: Settings) -> tuple[Recommender, frozenset[str]]:
    """Load a variant's model as a worker would; the next partition finds it here."""
    from segue.models.recommenders.two_stage import compute_alone

    compute_alone()
    loaded = load_recommender(settings), frozenset(known_songs(settings.bundle).songs)
    tune_garbage_collector()
    return loaded


@contextmanager
def _signals(end: Callable[..., None]) -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
