"""Lists captured while models were swapped: each is verified by the model that it names."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from segue.models.recommenders.base import PopularityRecommender
from segue.offline.replay.model_timeline import served_bundles
from segue.offline.replay.partition import Job, replay_partition
from segue.offline.replay.play_logs import read_log
from segue.offline.replay.sources import LogSource, ReplayError
from segue.stream.config.settings import load_settings
from segue.stream.messages.events import encode
from segue.stream.serving.factory import load_recommender
from tests.support.cli import segue
from tests.support.toy import song, write_toy_bundle

PLAYS, PARTITIONS = 300, 2
TURNS = (None, "first", "second")  # popularity serves until there is a model
CUTS = {0: (20, 60), 1: (35, 50)}  # partitions are of other lengths, so swaps come elsewhere


class Kept:
    """Keeps lists by the offsets of their plays."""

    def __init__(self) -> None:
        self.lists: dict[int, bytes] = {}

    def take(self, lists) -> None:
        self.lists |= {made.cause.offset: encode(made) for made in lists}

    def close(self) -> None:
        """Keep them."""


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("bundles")
    for seed, name in enumerate(TURNS[1:]):
        write_toy_bundle(directory / "gru" / name, songs=40, seed=seed)
    return directory


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    chance = random.Random(3)
    rows = [
        f"user-{chance.randrange(20)},{song(chance.randrange(45))},{1_700_000_000 + 90 * number}"
        for number in range(PLAYS)
    ]
    file = tmp_path_factory.mktemp("log") / "plays.csv"
    file.write_text("\n".join(["user_id,song_id,played_at", *rows]) + "\n")
    return file


@pytest.fixture(scope="module")
def capture(root, log, tmp_path_factory) -> Path:
    """Write down the lists of popularity, then of one model, then of another."""
    directory = tmp_path_factory.mktemp("capture")
    plays = read_log(log, None, 0.0, None, None).plays
    source = LogSource.write(plays, "plays", PARTITIONS, directory / "plays")
    captured = []
    for partition, cuts in CUTS.items():
        bounds = [0, *cuts, PLAYS]
        for number, name in enumerate(TURNS):
            settings = load_settings(bundle=root / "gru" / name if name else None)
            kept, place = Kept(), directory / f"{partition}-{number}"
            job = Job(settings, source, partition, place)
            replay_partition(job, load_recommender(settings), frozenset(), [kept])
            begin, end = bounds[number : number + 2]
            captured += [made for offset, made in kept.lists.items() if begin <= offset < end]
    assert len(captured) == PLAYS
    file = directory / "lists.jsonl"
    file.write_bytes(b"".join(made + b"\n" for made in captured))
    return file


def verified(root, log, capture, *words):
    reported = ("--plays", log, "--partitions", PARTITIONS, "--verify", capture, *words)
    return segue("replay", *reported, "--bundle", str(root / "gru/first"))


def test_every_list_is_made_by_the_model_that_made_it(root, log, capture):
    result = verified(root, log, capture, "--bundle-root", root)
    assert result.exit_code == 0, result.output
    assert f"{PLAYS} lists are equal byte by byte, 0 are not" in result.output
    assert "of 3 models, swapped meanwhile" in result.output


def test_without_the_others_the_remedy_is_named(root, log, capture):
    result = verified(root, log, capture)
    assert result.exit_code == 1
    assert "--bundle-root names the directory below which they lie" in result.output


def test_swaps_stand_where_the_lists_tell(root, capture):
    served = served_bundles(capture, root)
    places = [root / "gru" / name if name else None for name in TURNS]
    assert served == {
        partition: tuple(zip((0, *cuts), places, strict=True)) for partition, cuts in CUTS.items()
    }
    assert PopularityRecommender.version == "popularity"


def test_a_bundle_that_is_gone_is_named(root, capture, tmp_path):
    with pytest.raises(ReplayError, match=r"holds lists of gru-.*, and no bundle below .* is that"):
        served_bundles(capture, tmp_path)
