"""The contract of every kind of bundle that is registered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from segue.models.base import HasSongVectors, NextSongModel
from segue.models.bundles.bundle import Bundle, BundleError, read_bundle
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts
from segue.models.recommenders.base import RecommenderConfig, Request
from segue.models.recommenders.two_stage import RankedRecommender
from segue.models.refresh.bundle_refresh import REFRESHED_KINDS
from segue.models.registry import KINDS, model_of, open_song_vectors, recommender_of
from segue.stream.serving.model_registry import SERVING_KINDS
from tests.support.toy import PAIRS, song
from tests.support.toy_bundles import WRITERS

SCORING = [name for name in KINDS if name != "audio"]
SERVING = [name for name, kind in KINDS.items() if kind.recommender]
CONFIG = RecommenderConfig(list_length=8, candidates=20)


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bundles")
    for name, write in WRITERS.items():
        write(root / name)
    return {name: root / name for name in WRITERS}


@pytest.fixture(params=KINDS)
def bundle(request: pytest.FixtureRequest, directories: dict[str, Path]) -> Bundle:
    return read_bundle(directories[request.param], request.param)


@pytest.fixture(scope="module", params=SCORING)
def scorer(request: pytest.FixtureRequest, directories: dict[str, Path]) -> NextSongModel:
    return model_of(read_bundle(directories[request.param], request.param))


@pytest.fixture(scope="module", params=SERVING)
def recommender(request: pytest.FixtureRequest, directories: dict[str, Path]) -> RankedRecommender:
    return recommender_of(read_bundle(directories[request.param], request.param), CONFIG)


def some_contexts() -> Contexts:
    """Return sessions of 0 to 12 songs, some repeated, with histories of 0 to 11."""
    rng = np.random.default_rng(8)
    draw = [rng.integers(1, 2 * PAIRS + 1, length).tolist() for length in range(13)]
    return Contexts.of(Ragged.of(draw), Ragged.of(draw[::-1]))


def test_every_kind_has_an_example_and_a_line_for_the_documents() -> None:
    assert KINDS.keys() == WRITERS.keys()
    assert all(kind.summary and "\n" not in kind.summary for kind in KINDS.values())
    assert set(SERVING_KINDS) == set(SERVING)
    assert set(REFRESHED_KINDS) <= KINDS.keys()


def test_equal_models_make_equal_bundles(
    bundle: Bundle, directories: dict[str, Path], tmp_path: Path
) -> None:
    kind = bundle.manifest.kind
    assert WRITERS[kind](tmp_path / "again") == bundle.manifest
    for file in directories[kind].iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes(), file.name


def test_parts_that_do_not_fit_are_refused(bundle: Bundle) -> None:
    largest = max(bundle.weights, key=lambda name: bundle.weights[name].numel())
    weights = {name: tensor for name, tensor in bundle.weights.items() if name != largest}
    with pytest.raises(BundleError, match="train the bundle again"):
        KINDS[bundle.manifest.kind].model(replace(bundle, weights=weights))


@pytest.mark.parametrize("kind", SCORING)
def test_equal_bundles_make_equal_scores(kind: str, directories: dict[str, Path]) -> None:
    contexts = some_contexts()
    one, two = (model_of(read_bundle(directories[kind], kind)).scores(contexts) for _ in range(2))
    assert one.shape == (len(contexts), 2 * PAIRS + 1)
    assert one.dtype == torch.float32
    assert torch.equal(one[:, 1:], two[:, 1:])


def test_a_row_of_scores_is_the_same_bits_in_any_batch(scorer: NextSongModel) -> None:
    contexts = some_contexts()
    together = scorer.scores(contexts)
    for row in range(len(contexts)):
        alone = scorer.scores(contexts.slice(row, row + 1))
        assert torch.equal(alone[0, 1:], together[row, 1:])


def test_nothing_known_is_no_error(scorer: NextSongModel) -> None:
    unknown = Contexts.of(Ragged.of([[0, 0], []]), Ragged.of([[], [0]])).without_padding()
    assert not scorer.scores(unknown)[:, 1:].isnan().any()
    assert scorer.scores(Contexts.of(Ragged.of([]))).shape == (0, 2 * PAIRS + 1)


def test_song_vectors_are_one_a_song(scorer: NextSongModel) -> None:
    assert isinstance(scorer, HasSongVectors)
    vectors = scorer.song_vectors()
    assert (len(vectors), vectors.dtype) == (2 * PAIRS + 1, torch.float32)
    assert not vectors[0].any()


def requests() -> list[Request]:
    rng = np.random.default_rng(4)
    sessions = [
        [song(number) for number in rng.integers(0, 2 * PAIRS, length)] for length in range(1, 10)
    ]
    return [
        *(Request(session, ((-2.0, "new"),), sessions[0]) for session in sessions),
        Request(["unknown"], ((-2.0, "new"),)),
        Request([song(1), "unknown"], ()),
        Request([], ((-2.0, "new"), (-1.0, song(3)))),
        Request([], ()),
    ]


def test_a_list_is_the_same_in_any_batch_and_by_any_load(
    recommender: RankedRecommender, directories: dict[str, Path]
) -> None:
    wanted = requests()
    together = recommender.recommend(wanted)
    assert [recommender.recommend([one])[0] for one in wanted] == together
    assert recommender.recommend(wanted[::-1]) == together[::-1]
    kind = recommender.version.partition("-")[0]
    again = recommender_of(read_bundle(directories[kind], kind), CONFIG)
    assert again.recommend(wanted) == together
    assert recommender.recommend([]) == []


def test_lists_keep_the_contract(recommender: RankedRecommender) -> None:
    for request, songs in zip(requests(), recommender.recommend(requests()), strict=True):
        ids = [each.song_id for each in songs]
        assert len(set(ids)) == len(ids) == CONFIG.list_length
        assert not {*request.session[-1:]} & {*ids}
        assert all(np.diff([each.score for each in songs]) <= 0)
        assert all(each.sources for each in songs)


@pytest.mark.parametrize("kind", [name for name in KINDS if name not in SERVING])
def test_what_cannot_serve_says_what_can(kind: str, directories: dict[str, Path]) -> None:
    with pytest.raises(BundleError, match="segue train gru` or `segue train hybrid"):
        recommender_of(read_bundle(directories[kind], kind), CONFIG)


def test_a_kind_without_next_songs_or_vectors_is_refused(directories: dict[str, Path]) -> None:
    with pytest.raises(BundleError, match="predicts no next song"):
        open_song_vectors(directories["audio"])
    bundle = read_bundle(directories["gru"])
    other = msgspec.structs.replace(bundle.manifest, kind="other")
    with pytest.raises(BundleError, match="predicts no next song"):
        model_of(replace(bundle, manifest=other))
