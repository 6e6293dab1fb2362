"""One run: faults one after the other, quiet at the end, and then the evidence."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import lmdb

from segue.offline.chaos.checker import Findings, Invariants, check
from segue.offline.chaos.cluster import STOP_S, ChaosConfig, Cluster, prepared
from segue.offline.chaos.evidence import (
    Evidence,
    Place,
    PublishedList,
    StoredPlays,
    Topic,
    logged_play,
    published_list,
    read_store,
    rejected_record,
)
from segue.offline.chaos.faults import FAULTS
from segue.offline.chaos.faults.base import Failed, NotHere, NotNow, Steps
from segue.offline.chaos.fixtures import catalogue, expected_rules
from segue.offline.chaos.supervisor import Exit
from segue.stream.kafka.clients import KafkaUnavailable

FIRST_S = 12.0  # workers come up and take their partitions
MEAN_GAP_S = 6.0


@dataclass(frozen=True)
class Planned:
    """A fault to come. seed: of its own choices, such as which worker."""

    at_s: float
    kind: str
    seed: int


def schedule(kinds: Sequence[str], seconds: float, seed: int) -> Iterator[Planned]:
    """Draw faults over `seconds`: every kind once, in random order, before one is repeated.

    >>> [each.kind for each in schedule(["kill", "freeze"], 40, 1)][:2] in (
    ...     ["kill", "freeze"], ["freeze", "kill"])
    True
    """
    chance = random.Random(seed)
    at_s = FIRST_S
    while True:
        for kind in chance.sample(kinds, len(kinds)):
            if at_s >= seconds:
                return
            yield Planned(at_s, kind, chance.randrange(2**32))
            at_s += chance.expovariate(1 / MEAN_GAP_S)


TICK_S = 0.05
RETRY_S = 1.0
SETTLED_S = 150.0  # without a list, after the last fault: no worker answers


@dataclass
class FaultInProgress:
    """A fault in progress. next_s: when its next step is due."""

    planned: Planned
    steps: Steps
    next_s: float
    has_begun: bool = False


@dataclass
class Injected:
    """What was done: by kind, how often; what could not be, here; and what went wrong in it."""

    done: Counter[str] = field(default_factory=Counter)
    not_here: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Result:
    """All that is known of a run."""

    config: ChaosConfig
    injected: Injected
    findings: Findings
    exits: list[Exit]
    starts: int
    rebalances: int
    memberships: int
    seconds: float
    settled_s: float
    groups_mended: int


def run_chaos(
    config: ChaosConfig,
    kinds: Iterable[str] = tuple(FAULTS),
    on_progress: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> Result:
    """Run the faults, then check what is left. on_progress: what, seconds done and in all."""
    began = time.monotonic()
    with prepared(config) as cluster:
        plan = list(schedule(list(kinds), config.seconds, config.seed))
        injected = inject(cluster, plan, on_progress)
        cluster.producer.held = True
        cluster.producer.end(STOP_S)
        settling = time.monotonic()
        plays = Topic(cluster.settings, cluster.settings.topic_plays)
        lists = Topic(cluster.settings, cluster.settings.topic_recommendations)
        log = sorted(map(logged_play, plays.more()), key=lambda play: play.place)
        wanted = {play.place for play in log if play.is_good}
        found = list(until_answered(cluster, lists, wanted, on_progress))
        settled_s = time.monotonic() - settling
        for worker in cluster.workers:
            worker.held = True
        cluster.end_workers()
        found += map(published_list, lists.more())
        rejected = Topic(cluster.settings, cluster.settings.topic_rejected)
        stores = [*read_stores(cluster, injected)]
        evidence = Evidence(log, found, map(rejected_record, rejected.more()), stores)
        findings = check(evidence, invariants(cluster))
        return Result(
            config,
            injected,
            with_process_ends(findings, cluster.exits, injected),
            cluster.exits,
            sum(process.starts for process in cluster.processes),
            len({each for worker in cluster.workers for each in generations(worker.log_file)}),
            cluster.memberships,
            time.monotonic() - began,
            settled_s,
            cluster.groups_mended,
        )


def inject(
    cluster: Cluster, plan: list[Planned], on_progress: Callable[[str, int, int], None]
) -> Injected:
    """Carry out a plan, several faults at once where they overlap, until all have ended.

    A fault without a target is tried again, as long as the time for faults lasts.
    """
    injected, ahead = Injected(), list(plan)
    underway: list[FaultInProgress] = []
    began, total_s = time.monotonic(), cluster.config.seconds
    while ahead or underway or time.monotonic() - began < total_s:
        now_s = time.monotonic() - began
        while ahead and ahead[0].at_s <= now_s:
            underway.append(_beginning(cluster, ahead.pop(0)))
        underway = [each for each in underway if _step(cluster, each, now_s, injected)]
        cluster.look()
        on_progress("Faults", min(int(now_s), int(total_s)), int(total_s))
        time.sleep(TICK_S)
    return injected


def _beginning(cluster: Cluster, planned: Planned) -> FaultInProgress:
    steps = FAULTS[planned.kind](cluster, Random(planned.seed))
    return FaultInProgress(planned, steps, planned.at_s)


def _step(cluster: Cluster, each: FaultInProgress, now_s: float, injected: Injected) -> bool:
    """Take a fault's next step if it is due; return whether there are more."""
    if now_s < each.next_s:
        return True
    kind = each.planned.kind
    try:
        each.next_s = now_s + next(each.steps)
    except StopIteration:
        cluster.note(f"{kind}: over")
        return False
    except (NotNow, KafkaUnavailable):
        fresh = _beginning(cluster, each.planned)
        each.steps, each.next_s = fresh.steps, now_s + RETRY_S
        return now_s < cluster.config.seconds
    except NotHere:
        injected.not_here.add(kind)
        return False
    except Failed as failure:
        injected.failures.append(str(failure))
        return False
    if not each.has_begun:
        each.has_begun = True
        injected.done[kind] += 1
        cluster.note(f"{kind}: seed {each.planned.seed}")
    return True


def until_answered(
    cluster: Cluster,
    lists: Topic,
    wanted: set[Place],
    on_progress: Callable[[str, int, int], None],
) -> Iterator[PublishedList]:
    """Return lists until every play has one, or until no more come.

    Where the broker has lost its group, those of plays that come again stand before the missing.
    """
    missing, deadline = set(wanted), time.monotonic() + SETTLED_S
    looked_at = time.monotonic()
    while missing and time.monotonic() < deadline:
        for record in lists.more(wait_ms=500):
            made = published_list(record)
            missing.discard(made.cause)
            if time.monotonic() - looked_at > TICK_S:
                looked_at = time.monotonic()
                deadline = looked_at + SETTLED_S
                cluster.look()
            yield made
        cluster.look()
        on_progress("Answers", len(wanted) - len(missing), len(wanted))


def read_stores(cluster: Cluster, injected: Injected) -> Iterator[StoredPlays]:
    """Read the store of every worker that has one."""
    for worker in [*cluster.workers, *cluster.guests]:
        path = cluster.store(worker)
        if (path / "data.mdb").exists():
            try:
                yield read_store(path, worker.name)
            except (lmdb.Error, ValueError) as error:
                injected.failures.append(f"the store of {worker.name} is torn: {error!r}")


def invariants(cluster: Cluster) -> Invariants:
    """Return what every list was to keep to."""
    models = frozenset([*cluster.versions.values()])
    return Invariants(
        *(expected_rules(), catalogue(), cluster.settings.list_length, models),
        from_others=cluster.config.kind == "hybrid",
    )


def with_process_ends(findings: Findings, exits: list[Exit], injected: Injected) -> Findings:
    """Add to the findings how processes ended and what faults had to say."""
    for each in exits:
        if not each.is_in_order:
            words = each.last_words.strip().splitlines()[-3:]
            detail = f"{each.name} ended with {each.status}, not {each.wanted}: {words}"
            findings.found("process ended without a clear word", detail)
    for failure in injected.failures:
        findings.found("no recovery", failure)
    return findings


def generations(log_file: Path) -> set[int]:
    """Return the group generations in a worker's log: each is one rebalance.

    Where the group was deleted they begin again, so that some are counted once.
    """
    log = log_file.read_text(errors="replace")
    return {int(each) for each in re.findall(r"Joined group '.*' \(generation (\d+)\)", log)}
