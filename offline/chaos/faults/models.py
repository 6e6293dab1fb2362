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
from segue.offline.chaos.cluster import Cluster
from segue.offline.chaos.faults.base import Steps, reserved_worker
from segue.offline.chaos.fixtures import BUNDLES
from segue.stream.kafka.clients import kafka_python_config, reaching
from segue.stream.serving.model_registry import ModelVersion, promote, publish_active_model

CorruptBundle = Callable[[Cluster, Random], None]


@contextmanager
def corrupt_file(bundle: Path, chance: Random) -> Iterator[None]:
    """Change one byte of a bundle's weights, and put it back."""
    weights = bundle / WEIGHTS
    whole = weights.read_bytes()
    weights.write_bytes(_with_one_other_byte(whole, chance))
    try:
        yield
    finally:
        weights.write_bytes(whole)


def damaged(cluster: Cluster, chance: Random) -> None:
    """A bundle one byte of which is another."""
    copy = _copy(cluster, chance)
    weights = copy / WEIGHTS
    weights.write_bytes(_with_one_other_byte(weights.read_bytes(), chance))
    _put(cluster, copy.name)


def cut_short(cluster: Cluster, chance: Random) -> None:
    """A bundle whose file ends early, as while it is copied."""
    copy = _copy(cluster, chance)
    weights = copy / WEIGHTS
    weights.write_bytes(weights.read_bytes()[: chance.randrange(2_000)])
    _put(cluster, copy.name)


def not_a_number(cluster: Cluster, chance: Random) -> None:
    """A bundle that is whole and true to its hashes, and whose weights are no numbers."""
    kind = cluster.config.kind
    found = read_bundle(cluster.bundle_root / BUNDLES[0], kind)
    weights = {
        name: torch.full_like(each, torch.nan) if each.is_floating_point() else each
        for name, each in found.weights.items()
    }
    directory = cluster.bundle_root / _name(chance)
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
    _put(cluster, directory.name, manifest.version)


def climbing(cluster: Cluster, chance: Random) -> None:
    """A bundle whose manifest lists a file outside of it."""
    manifest = _copy(cluster, chance) / MANIFEST
    text = manifest.read_text().replace(f'"{WEIGHTS}"', f'"../{BUNDLES[1]}/{WEIGHTS}"')
    manifest.write_text(text)
    _put(cluster, manifest.parent.name)


def linked(cluster: Cluster, chance: Random) -> None:
    """A link out of the bundle root."""
    link = cluster.bundle_root / _name(chance)
    link.unlink(missing_ok=True)
    outside = cluster.config.directory / "outside"
    shutil.copytree(cluster.bundle_root / BUNDLES[1], outside, dirs_exist_ok=True)
    link.symlink_to(outside)
    _put(cluster, link.name)


def elsewhere(cluster: Cluster, chance: Random) -> None:
    """A place outside of the bundle root, or nowhere."""
    _put(cluster, chance.choice(["../outside", "/etc", "no-such-bundle", ".", "a/../../outside"]))


def renamed(cluster: Cluster, chance: Random) -> None:
    """A good bundle under a version that it is not."""
    _put(cluster, BUNDLES[0], f"{cluster.config.kind}-000000000000")


def garbage(cluster: Cluster, chance: Random) -> None:
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
    _send(cluster, cluster.config.kind.encode(), value)


def forgotten(cluster: Cluster, chance: Random) -> None:
    """A tombstone: nothing is announced any more."""
    _send(cluster, cluster.config.kind.encode(), None)


CORRUPT_BUNDLES: list[CorruptBundle] = [
    *(damaged, cut_short, not_a_number, climbing, linked, elsewhere, renamed, garbage, forgotten)
]


def _copy(cluster: Cluster, chance: Random) -> Path:
    copy = cluster.bundle_root / _name(chance)
    shutil.copytree(cluster.bundle_root / BUNDLES[0], copy, dirs_exist_ok=True)
    return copy


def _name(chance: Random) -> str:
    return f"corrupt-{chance.randrange(10**9)}"


def _put(cluster: Cluster, location: str, version: str | None = None) -> None:
    """Announce a place; as what bundle "a" is, where no version is given."""
    served = ModelVersion(version or cluster.versions[BUNDLES[0]], location)
    publish_active_model(cluster.settings, promote(served, cluster.active))


def _send(cluster: Cluster, key: bytes, value: bytes | None) -> None:
    with reaching(cluster.settings):
        producer = KafkaProducer(**kafka_python_config(cluster.settings), acks="all")
        try:
            producer.send(cluster.settings.topic_models, key=key, value=value).get(30)
        finally:
            producer.close()


def _with_one_other_byte(whole: bytes, chance: Random) -> bytes:
    place = chance.randrange(len(whole))
    return whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :]


def swap(cluster: Cluster, chance: Random) -> Steps:
    """Another good bundle is announced."""
    cluster.announce(chance.choice(BUNDLES))
    yield 0.0


def corrupt_bundle(cluster: Cluster, chance: Random) -> Steps:
    """Something is announced that must not serve; then a worker is killed, so that it meets it."""
    with reserved_worker(cluster, chance) as worker:
        chance.choice(CORRUPT_BUNDLES)(cluster, chance)
        yield chance.uniform(0, 2)
        worker.kill()
        yield 1.0


def corrupted_model(cluster: Cluster, chance: Random) -> Steps:
    """A byte of the model that serves is another; who starts now must take one before it."""
    name = chance.choice(BUNDLES[1:])
    with reserved_worker(cluster, chance) as worker:
        cluster.announce(name)
        yield 1.0
        with corrupt_file(cluster.bundle_root / name, chance):
            worker.kill()
            yield chance.uniform(8, 15)
