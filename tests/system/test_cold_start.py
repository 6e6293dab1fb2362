"""Songs without a play on the live system: announced, or heard, and recommended."""

from __future__ import annotations

import copy
import random
import subprocess
import time

import pytest
import torch

from segue.models.audio.network import AudioConfig
from segue.models.bundles.bundle import read_manifest
from segue.models.data.catalogue import SongDetails
from segue.models.data.vocabulary import Vocabulary
from segue.models.hybrid.model import HybridNextSong
from segue.models.ranking.schema import CANDIDATE_FEATURES
from segue.offline.audio.sources import read_files
from segue.offline.audio.spectrogram_cache import SpectrogramConfig
from segue.offline.audio.targets import bundle_targets
from segue.offline.audio.train_audio import train_audio_bundle
from segue.offline.audio.trainer import FitConfig
from segue.offline.operations.catalogue import send_songs
from segue.stream.kafka.topics import ensure_topics
from segue.stream.messages.events import PlayEvent
from segue.stream.serving.model_registry import ModelVersion, promote, publish_active_model
from tests.support.brokers import own_settings
from tests.support.live import SEGUE, Reader, Worker, causes, environment, lists, produce_events
from tests.support.toy import number_sessions
from tests.support.toy_audio import QUICK, write_genres
from tests.support.toy_hybrid import fit_hybrid, write_hybrid
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.broker

GENRES, EACH = ("low", "high"), 8
SMALL = AudioConfig("document", width=8, dense=16, dropout=0.1)
ANNOUNCED, HEARD, OTHER = "announced", "low-9", "high-9"


def sessions_of(count, seed):
    """Return sessions that stay in one genre."""
    chance = random.Random(seed)
    return [
        [f"{genre}-{number}" for number in chance.sample(range(EACH), 5)]
        for genre in chance.choices(GENRES, k=count)
    ]


def believer(model):
    """Set the model a ranker that believes in content."""
    ranker = copy.deepcopy(model.ranker)
    with torch.no_grad():
        ranker.weights.weight[0, CANDIDATE_FEATURES.index("content")] = 9.0
    popularity = torch.ones(len(model.vocabulary) + 1)
    return HybridNextSong(model.generator, ranker, model.vocabulary, popularity)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Return a bundle root with a hybrid, and with a network that hears its songs."""
    root, songs = tmp_path_factory.mktemp("bundles"), Vocabulary()
    log = number_sessions(sessions_of(200, seed=1), songs)
    write_hybrid(root / "hybrid", believer(fit_hybrid(log, songs, epochs=2)), log)
    write_genres(root / "sound" / "known", EACH)
    write_genres(root / "sound" / "new", 1, first=9)
    sound = read_files(root / "sound" / "known", SpectrogramConfig(QUICK, frames=103))
    targets = bundle_targets(root / "hybrid")
    fit = FitConfig(epochs=12, batch=4, learning_rate=5e-3, judge_every=3)
    train_audio_bundle(sound, targets, root / "audio", SMALL, fit, validation_fraction=0)
    return root


class Listener:
    """Sends plays, each of somebody else, and gives the list that each caused."""

    def __init__(self, settings):
        self.settings = settings
        self.reader = Reader(settings, settings.topic_recommendations)
        self.sent = 0

    def hears(self, song_id):
        places = produce_events(
            self.settings,
            [PlayEvent(f"e{self.sent}", f"user-{self.sent}", song_id, 1_700_000_000_000)],
        )
        self.sent += 1
        made = lists(self.reader.read_until(answered_all(places)))
        assert len(made) == self.sent
        return next(one for one in made if one.user_id == f"user-{self.sent - 1}")

    def until(self, song_id, song_heard):
        """Hear a song again and again until another is in the list."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            made = self.hears(song_heard)
            if song_id in sources(made):
                return made
            time.sleep(0.2)
        raise AssertionError(f"{song_id} was never recommended after {song_heard}")


def answered_all(places):
    return lambda records: set(places) <= causes(records)


def sources(made):
    return {each.song_id: tuple(each.sources) for each in made.items}


def test_songs_are_recommended_before_their_first_play(broker, root, tmp_path):
    settings = own_settings(broker, data_dir=tmp_path, bundle_root=root, list_length=5)
    ensure_topics(settings)
    version = read_manifest(root / "hybrid").version
    publish_active_model(settings, promote(ModelVersion(version, "hybrid"), None))
    known = {f"{genre}-{n}": SongDetails(artist=genre) for genre in GENRES for n in range(EACH)}
    send_songs(settings, known, lambda sent: None)
    listener = Listener(settings)
    worker = Worker(settings, tmp_path / "worker.log")
    with worker.running():
        before = listener.hears("low-1")
        assert {song_id.partition("-")[0] for song_id in sources(before)} == {"low"}
        send_songs(settings, {ANNOUNCED: SongDetails(artist="Low")}, lambda sent: None)
        made = listener.until(ANNOUNCED, "low-1")
        assert sources(made)[ANNOUNCED] == ("content",)
        assert made.model == version
        words = ["--audio", root / "sound" / "new", "--model", root / "audio"]
        words += ["--bundle", root / "hybrid", "--out", root / "next", "--activate"]
        run = subprocess.run(
            [*SEGUE, "embed", *map(str, words)],
            env=environment(settings),
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
        made = listener.until(HEARD, "low-2")
        assert sources(made)[HEARD] == ("content",)
        assert OTHER not in sources(made)
        assert made.model == read_manifest(root / "next").version != version
        assert sources(listener.hears("high-2"))[OTHER] == ("content",)
        worker.stop()
    listener.reader.close()
