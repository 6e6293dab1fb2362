"""Faults of models: swapped, poisoned, corrupted where they lie."""

from __future__ import annotations

from random import Random

from offline.chaos.fault import Steps, taken
from offline.chaos.ground import Ground
from offline.chaos.poison import POISONS, spoilt_file
from offline.chaos.world import BUNDLES


def swap(ground: Ground, chance: Random) -> Steps:
    """Another good bundle is announced."""
    ground.announce(chance.choice(BUNDLES))
    yield 0.0


def poison(ground: Ground, chance: Random) -> Steps:
    """Something is announced that must not serve; then a worker is killed, so that it meets it."""
    with taken(ground, chance) as worker:
        chance.choice(POISONS)(ground, chance)
        yield chance.uniform(0, 2)
        worker.kill()
        yield 1.0


def corrupted_model(ground: Ground, chance: Random) -> Steps:
    """A byte of the model that serves is another; who starts now must take one before it."""
    name = chance.choice(BUNDLES[1:])
    with taken(ground, chance) as worker:
        ground.announce(name)
        yield 1.0
        with spoilt_file(ground.bundle_root / name, chance):
            worker.kill()
            yield chance.uniform(8, 15)
