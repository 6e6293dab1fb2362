"""What may be announced on the topic `models`, and must not serve."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import torch
from kafka import KafkaProducer

from segue.models.bundles.bundle import MANIFEST, WEIGHTS, read_bundle, write_bundle
from segue.offline.chaos.cluster import Ground
from segue.offline.chaos.faults.base import Steps, taken
from segue.offline.chaos.fixtures import BUNDLES
from segue.stream.kafka.clients import kafka_python_config, reaching
from segue.stream.serving.model_registry import ModelVersion, promote, publish_active_model

Poison = Callable[[Ground, Random], None]


@contextmanager
def spoilt_file(bundle: Path, chance: Random) -> Iterator[None]:
    """Change one byte of a bundle's weights, and put it back."""
    weights = bundle / WEIGHTS
    whole = weights.read_bytes()
    weights.write_bytes(_with_one_other_byte(whole, chance))
    try:
        yield
    finally:
        weights.write_bytes(whole)


def damaged(ground: Ground, chance: Random) -> None:
    """A bundle one byte of which is another."""
    copy = _copy(ground, chance)
    weights = copy / WEIGHTS
    weights.write_bytes(_with_one_other_byte(weights.read_bytes(), chance))
    _put(ground, copy.name)


def cut_short(ground: Ground, chance: Random) -> None:
    """A bundle whose file ends early, as while it is copied."""
    copy = _copy(ground, chance)
    weights = copy / WEIGHTS
    weights.write_bytes(weights.read_bytes()[: chance.randrange(2_000)])
    _put(ground, copy.name)


def not_a_number(ground: Ground, chance: Random) -> None:
    """A bundle that is whole and true to its hashes, and whose weights are no numbers."""
    kind = ground.config.kind
    found = read_bundle(ground.bundle_root / BUNDLES[0], kind)
    weights = {
        name: torch.full_like(each, torch.nan) if each.is_floating_point() else each
        for name, each in found.weights.items()
    }
    directory = ground.bundle_root / _name(chance)
    manifest = write_bundle(
        directory,
        kind=kind,
        config=found.manifest.config,
        weights=weights,
        vocabulary=found.vocabulary,
        titles=found.titles,
        training={"plays": 1},
        metrics={},
        overwrite=True,
    )
    _put(ground, directory.name, manifest.version)


def climbing(ground: Ground, chance: Random) -> None:
    """A bundle whose manifest lists a file outside of it."""
    manifest = _copy(ground, chance) / MANIFEST
    text = manifest.read_text().replace(f'"{WEIGHTS}"', f'"../{BUNDLES[1]}/{WEIGHTS}"')
    manifest.write_text(text)
    _put(ground, manifest.parent.name)


def linked(ground: Ground, chance: Random) -> None:
    """A link out of the bundle root."""
    link = ground.bundle_root / _name(chance)
    link.unlink(missing_ok=True)
    outside = ground.config.directory / "outside"
    shutil.copytree(ground.bundle_root / BUNDLES[1], outside, dirs_exist_ok=True)
    link.symlink_to(outside)
    _put(ground, link.name)


def elsewhere(ground: Ground, chance: Random) -> None:
    """A place outside of the bundle root, or nowhere."""
    _put(ground, chance.choice(["../outside", "/etc", "no-such-bundle", ".", "a/../../outside"]))


def renamed(ground: Ground, chance: Random) -> None:
    """A good bundle under a version that it is not."""
    _put(ground, BUNDLES[0], f"{ground.config.kind}-000000000000")


def garbage(ground: Ground, chance: Random) -> None:
    """Bytes that are no announcement."""
    value = chance.choice(
        [
            b"",
            b"{}",
            b"\xff\xfe",
            b"[" * 50_000,
            b'{"kind": "gru"}',
            b'{"kind":"gru","version":"gru-' + b"0" * 12 + b'","location":"' + b"x" * 500_000,
            chance.randbytes(300),
        ]
    )
    _send(ground, ground.config.kind.encode(), value)


def forgotten(ground: Ground, chance: Random) -> None:
    """A tombstone: nothing is announced any more."""
    _send(ground, ground.config.kind.encode(), None)


POISONS: list[Poison] = [
    *(damaged, cut_short, not_a_number, climbing, linked, elsewhere, renamed, garbage, forgotten)
]


def _copy(ground: Ground, chance: Random) -> Path:
    copy = ground.bundle_root / _name(chance)
    shutil.copytree(ground.bundle_root / BUNDLES[0], copy, dirs_exist_ok=True)
    return copy


def _name(chance: Random) -> str:
    return f"poison-{chance.randrange(10**9)}"


def _put(ground: Ground, location: str, version: str | None = None) -> None:
    """Announce a place; as what bundle "a" is, where no version is given."""
    served = ModelVersion(version or ground.versions[BUNDLES[0]], location)
    publish_active_model(ground.settings, promote(served, ground.active))


def _send(ground: Ground, key: bytes, value: bytes | None) -> None:
    with reaching(ground.settings):
        producer = KafkaProducer(**kafka_python_config(ground.settings), acks="all")
        try:
            producer.send(ground.settings.topic_models, key=key, value=value).get(30)
        finally:
            producer.close()


def _with_one_other_byte(whole: bytes, chance: Random) -> bytes:
    place = chance.randrange(len(whole))
    return whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :]


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
