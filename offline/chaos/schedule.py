"""Which fault comes when: drawn from a seed before anything runs."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

FIRST_S = 12.0  # workers come up and take their partitions
MEAN_GAP_S = 6.0


@dataclass(frozen=True)
class Planned:
    """A fault to come. seed: of its own choices, such as which worker."""

    at_s: float
    kind: str
    seed: int


def schedule(kinds: Sequence[str], seconds: float, seed: int) -> Iterator[Planned]:
    """Draw faults over so many seconds: each kind once, in any order, before one comes again.

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
