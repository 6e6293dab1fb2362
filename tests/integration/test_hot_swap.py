"""Models swapped under a running worker: no play lost, no list of two models, no memory kept."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from itertools import cycle
from pathlib import Path

import pytest

from segue.models.bundles.bundle import BundleError, read_manifest
from segue.models.recommenders.base import PopularityRecommender
from segue.stream.kafka.topics import ensure_topics
from segue.stream.messages.events import encode
from segue.stream.messages.records import Record
from segue.stream.observability.metrics import Metrics
from segue.stream.online_eval.prequential import PrequentialEvaluator
from segue.stream.runtime.garbage_collection import tune_garbage_collector
from segue.stream.serving.factory import load_bundle, recommender_config
from segue.stream.serving.model_registry import (
    ModelVersion,
    promote,
    publish_active_model,
    rollback,
)
from segue.stream.serving.model_reloader import ModelReloader
from segue.stream.serving.rules import load_rules
from segue.stream.state.store import HistoryStore
from segue.stream.worker.processor import Processor
from tests.support.brokers import own_settings
from tests.support.live import Reader, Worker, answered, event, lists, produce_events
from tests.support.toy import song, write_toy_bundle
from tests.support.waiting import wait_until

pytestmark = pytest.mark.broker

SWAPS = int(os.environ.get("SEGUE_TEST_SWAPS", "50"))
SONGS = 5_000  # of a bundle of some MiB, so that one kept by each swap would be seen
MOST_GROWTH_MIB = 16
BATCH = 20


def resident_mib() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


class Published:
    """Stands where a publisher does, and keeps which models each batch's lists are of."""

    def __init__(self):
        self.models = []
        self.lists = 0

    async def publish(self, made, rejected, headers):
        self.models.append({one.model for one in made})
        self.lists += len(made)

    async def __aexit__(self, *_):
        pass


def batches():
    """Return records without end, in partition 0, of ten listeners."""
    number = 0
    while True:
        yield [
            Record("plays", 0, n, 0, b"u", encode(event(n, f"user-{n % 10}", song(n % SONGS))))
            for n in range(number, number + BATCH)
        ]
        number += BATCH


@pytest.fixture
def processor(broker_settings, tmp_path):
    store = HistoryStore(tmp_path / "histories")
    first = PopularityRecommender(recommender_config(broker_settings))
    return Processor(broker_settings, store, first, PrequentialEvaluator(first), Metrics())


def swap_often(processor, directories, grown):
    """Load and swap SWAPS times; note the memory half way and at the end."""
    config, book = recommender_config(processor.settings), load_rules(processor.settings)
    for number, directory in zip(range(SWAPS), cycle(directories), strict=False):
        gone = weakref.ref(processor.recommender)
        processor.swap(load_bundle(directory, config, book=book))
        tune_garbage_collector()
        # The first is the judge's too.
        assert number == 0 or gone() is None, "the model before it is still held by something"
        if number == SWAPS // 2:
            grown.append(resident_mib())
    grown.append(resident_mib())


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
def test_soak_of_swaps_under_load(processor, tmp_path):
    made = [write_toy_bundle(tmp_path / str(n), songs=SONGS, seed=n).version for n in (0, 1)]
    published, grown = Published(), []
    directories = [tmp_path / "0", tmp_path / "1"]
    swapper = threading.Thread(target=swap_often, args=(processor, directories, grown))

    async def work():
        sent = 0
        async with processor:
            await processor.publisher.__aexit__(None, None, None)
            processor.publisher = published
            swapper.start()
            incoming = batches()
            while swapper.is_alive():
                await processor.publish(await processor.answer(next(incoming)))
                sent += BATCH
        return sent

    sent = asyncio.run(work())
    swapper.join()
    print(f"{SWAPS} swaps, {sent:,} plays, {grown[0]:.0f} MiB at half, {grown[1]:.0f} MiB at end")
    assert published.lists == sent
    assert len(grown) == 2, "the swapping thread ended early"
    assert all(len(models) == 1 for models in published.models)
    assert {model for models in published.models for model in models} == {"popularity", *made}
    assert grown[1] - grown[0] < MOST_GROWTH_MIB


@pytest.fixture
def root(tmp_path):
    """Return a bundle root with three bundles, of which the last is damaged."""
    for number, name in enumerate(("a", "b", "damaged")):
        write_toy_bundle(tmp_path / "bundles" / name, songs=50, seed=number)
    weights = tmp_path / "bundles" / "damaged" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    return tmp_path / "bundles"


def version_of(directory):
    return read_manifest(directory).version


def put(settings, root, name, before):
    made = promote(ModelVersion(version_of(root / name), name), before)
    publish_active_model(settings, made)
    return made


def count_refused(metrics, reason):
    return metrics.registry.get_sample_value("segue_models_refused_total", {"reason": reason})


def test_a_worker_begins_with_what_was_good_before(broker_settings, root):
    first = put(broker_settings, root, "a", None)
    second = put(broker_settings, root, "damaged", first)
    publish_active_model(
        broker_settings, promote(ModelVersion(second.version, "../elsewhere"), second)
    )
    metrics = Metrics()
    follower = ModelReloader(broker_settings, root, metrics, load_rules(broker_settings))
    assert follower.first().version == first.version
    follower.stop()
    assert count_refused(metrics, "damaged") == 1
    assert count_refused(metrics, "outside") == 1


def test_without_a_word_it_begins_with_the_bundle_of_the_settings(broker, root, tmp_path):
    made = own_settings(broker, bundle=root / "b")
    ensure_topics(made)
    follower = ModelReloader(made, root, Metrics(), load_rules(made))
    assert follower.first().version == version_of(root / "b")
    follower.stop()


def test_a_damaged_bundle_of_the_settings_is_an_error(broker, root):
    made = own_settings(broker, bundle=root / "damaged")
    ensure_topics(made)
    follower = ModelReloader(made, root, Metrics(), load_rules(made))
    with pytest.raises(BundleError, match="sha256"):
        follower.first()
    follower.stop()


class LiveWorker:
    """A worker over a bundle root, and the plays that are sent to it one lot after another."""

    def __init__(self, settings, root, log_file):
        self.settings = settings
        self.root = root
        self.worker = Worker(settings, log_file)
        self.reader = Reader(settings, settings.topic_recommendations)
        self.places = []

    def play(self, count=40):
        """Send plays and wait for their lists."""
        start = len(self.places)
        made = [event(n, f"user-{n % 7}", song(n % 50)) for n in range(start, start + count)]
        self.places += produce_events(self.settings, made)
        return lists(self.reader.read_until(answered(self.places)))

    def play_until(self, version, most=40):
        """Send plays until one of their lists is of this model."""
        for _ in range(most):
            if self.play(10)[-1].model == version:
                return
            time.sleep(0.2)
        raise AssertionError(f"no list of {version} came: {self.worker.log()[-2000:]}")

    def play_until_refused(self, most=40):
        """Send plays until the worker tells of a model that it does not take; give their lists."""
        found = []
        while "is refused" not in self.worker.log() and len(found) < 10 * most:
            found += self.play(10)
            time.sleep(0.2)
        return found


def test_a_worker_changes_models_while_plays_come(broker, root, tmp_path):
    made = own_settings(
        broker, data_dir=tmp_path / "data", bundle_root=root, batch_max=10, list_length=10
    )
    ensure_topics(made)
    first = put(made, root, "a", None)
    live = LiveWorker(made, root, tmp_path / "worker.log")
    with live.worker.running():
        assert {one.model for one in live.play()} == {first.version}
        second = put(made, root, "b", first)
        live.play_until(second.version)
        put(made, root, "damaged", second)
        wait_until(lambda: " is refused, " in live.worker.log(), live.worker.log)
        assert live.play(40)[-1].model == second.version
        publish_active_model(made, rollback(second))
        live.play_until(first.version)
        live.worker.stop()
    found = lists(live.reader.drain())
    live.reader.close()
    assert len(found) == len(live.places)
    assert {one.model for one in found} == {first.version, second.version}
    assert f"is refused, {second.version} serves on" in live.worker.log()
