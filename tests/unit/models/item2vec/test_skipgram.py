"""Song vectors in worlds whose neighbours are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from segue.models.bundles.bundle import BundleError, Manifest, read_bundle, write_bundle
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts
from segue.models.data.vocabulary import Vocabulary
from segue.models.item2vec.scorer import SkipGramNextSong, bundle_weights, skipgram_from_bundle
from segue.models.item2vec.skipgram import (
    SkipGram,
    SkipGramConfig,
    SkipGramError,
    continue_training,
    train_skipgram,
)
from segue.models.ops.vectors import nearest_songs
from segue.models.registry import open_model, open_song_vectors
from tests.support.toy import song

GROUPS, EACH = 6, 8
SONGS = GROUPS * EACH
CONFIG = SkipGramConfig(dim=16, epochs=20, sample=0.0, ns_exponent=0.5)


def group_sessions(groups: int, sessions: int, seed: int, first: int = 1) -> Ragged:
    """Make sessions of six songs of one group each; group g has the songs from first + 8 g."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, groups, sessions)[:, None] * EACH + rng.integers(0, EACH, (sessions, 6))
    return Ragged.of((rows + first).tolist())


def group(item: int) -> int:
    return (item - 1) // EACH


def share_within_group(vectors: SkipGram, items: range, n: int = 4) -> float:
    """Return the share of the `n` nearest songs of each item that are of its own group."""
    inputs = torch.from_numpy(vectors.inputs)
    near = {item: nearest_songs(inputs, inputs[item], n, excluded=[item]) for item in items}
    same = [group(other) == group(item) for item, found in near.items() for other, _ in found]
    return float(np.mean(same))


@pytest.fixture(scope="module")
def trained() -> SkipGram:
    return train_skipgram(group_sessions(GROUPS, 400, seed=1), SONGS, CONFIG)


def test_songs_of_the_same_sessions_are_nearest(trained: SkipGram) -> None:
    assert share_within_group(trained, range(1, SONGS + 1)) > 0.95
    assert not trained.inputs[0].any()
    assert not trained.outputs[0].any()


def test_the_partner_is_what_stands_near_most() -> None:
    rng = np.random.default_rng(1)
    pairs = rng.integers(0, 10, (300, 3))
    sessions = Ragged.of([[2 * pair + side for pair in row for side in (1, 2)] for row in pairs])
    config = replace(CONFIG, window=1, readout="product", epochs=40)
    model = SkipGramNextSong(
        train_skipgram(sessions, 20, config), Vocabulary(map(str, range(20))), config
    )
    scores = model.scores(Contexts.of(Ragged.of([[item] for item in range(1, 20, 2)])))
    assert (scores[:, 1:].argmax(1) + 1).tolist() == list(range(2, 21, 2))


def test_one_worker_learns_the_same_again_and_another_seed_something_else() -> None:
    sessions = group_sessions(GROUPS, 100, seed=2)
    config = replace(CONFIG, epochs=3)
    first, again, other = (train_skipgram(sessions, SONGS, config, seed=s) for s in (0, 0, 1))
    assert first.inputs.tobytes() == again.inputs.tobytes()
    assert first.outputs.tobytes() == again.outputs.tobytes()
    assert first.inputs.tobytes() != other.inputs.tobytes()


def test_rows_are_item_numbers_whatever_the_counts() -> None:
    # Song 1 is the rarest: gensim by itself would put the most played song first.
    sessions = Ragged.of([[1, 2, 3, 3], [2, 3, 3, 3]])
    vectors = train_skipgram(sessions, 3, replace(CONFIG, epochs=1))
    assert vectors.counts.tolist() == [0, 1, 2, 5]


def test_several_workers_learn_as_much() -> None:
    vectors = train_skipgram(group_sessions(GROUPS, 400, seed=1), SONGS, CONFIG, workers=2)
    assert share_within_group(vectors, range(1, SONGS + 1)) > 0.95


def test_hits_are_passed_over_beyond_so_many_average_songs() -> None:
    # Song 1 keeps each song from its partner, and has half of all plays: of 21 songs, more than
    # ten average ones. Where it is passed over, the partners are heard side by side.
    first = 2 * np.random.default_rng(0).integers(1, 11, 400)
    sessions = Ragged.of([[1, item, 1, item + 1] for item in first.tolist()])
    learned = {
        sample: train_skipgram(sessions, 21, replace(CONFIG, sample=sample, window=1))
        for sample in (0.0, 1.0, 1e6)
    }
    assert learned[0.0].outputs.tobytes() == learned[1e6].outputs.tobytes()

    def partners_found(vectors: SkipGram) -> int:
        near = vectors.inputs[2::2] @ vectors.outputs[2:].T
        return int((near.argmax(1) == 1 + 2 * np.arange(10)).sum())

    assert partners_found(learned[1.0]) == 10
    assert partners_found(learned[0.0]) <= 3


def test_a_very_long_session_is_learned_to_its_end() -> None:
    # Behind the 10,000th play stand songs that stand nowhere else.
    sessions = Ragged.of([[1, 2] * 5_000 + [3, 4] * 1_000])
    vectors = train_skipgram(sessions, 4, replace(CONFIG, epochs=2))
    begun_within = 0.5 / CONFIG.dim  # untouched, a number of theirs is no larger
    assert (np.abs(vectors.inputs[3:]).max(1) > 3 * begun_within).all()


def test_plays_done_are_told_of_all_epochs_together() -> None:
    reported: list[int] = []
    train_skipgram(
        group_sessions(2, 30, seed=0), 16, replace(CONFIG, epochs=4), on_plays=reported.append
    )
    assert reported == sorted(reported)
    assert reported[-1] == 4 * 30 * 6


def test_going_on_keeps_old_neighbours_and_places_new_songs_by_their_company(
    trained: SkipGram,
) -> None:
    # Eight new songs, each heard among those of one old group: six, then two of group 0 and 1.
    new = range(SONGS + 1, SONGS + 9)
    home = {item: (item - SONGS - 1) % GROUPS for item in new}
    rng = np.random.default_rng(3)
    rows = [
        [*(home[item] * EACH + 1 + rng.integers(0, EACH, 2)), item, *later]
        for item in new
        for later in (home[item] * EACH + 1 + rng.integers(0, EACH, (15, 2)))
    ]
    kept = trained.inputs.copy()
    going_on = continue_training(trained, Ragged.of(rows), SONGS + 8, CONFIG, seed=0)
    assert trained.inputs.tobytes() == kept.tobytes()
    assert len(going_on) == SONGS + 8
    assert share_within_group(going_on, range(1, SONGS + 1)) > 0.8
    inputs = torch.from_numpy(going_on.inputs)
    for item in new:
        near = nearest_songs(inputs, inputs[item], 3, excluded=list(new))
        assert [group(other) for other, _ in near] == [home[item]] * 3


def test_going_on_counts_on_from_what_was(trained: SkipGram) -> None:
    more = group_sessions(GROUPS, 200, seed=4)
    going_on = continue_training(trained, more, SONGS, replace(CONFIG, epochs=2))
    plays = np.bincount(more.values, minlength=SONGS + 1)
    assert (going_on.counts == trained.counts + plays).all()
    assert going_on.epochs == CONFIG.epochs + 2


def test_a_song_not_played_again_is_left_where_it_was(trained: SkipGram) -> None:
    going_on = continue_training(
        trained, group_sessions(1, 50, seed=5), SONGS, replace(CONFIG, epochs=2)
    )
    assert (going_on.inputs[EACH + 1 :] == trained.inputs[EACH + 1 :]).all()
    assert (going_on.inputs[1 : EACH + 1] != trained.inputs[1 : EACH + 1]).any(1).all()


def test_a_negative_exponent_needs_no_more_than_one_play_a_song() -> None:
    vectors = train_skipgram(Ragged.of([[1, 2], [3, 3, 3]]), 3, replace(CONFIG, ns_exponent=-1.0))
    assert np.isfinite(vectors.inputs).all()


@pytest.mark.parametrize(
    ("rows", "songs", "message"),
    [
        ([], 0, "none of 0 sessions has two songs"),
        ([[1], [2]], 2, "none of 2 sessions has two songs"),
        ([[1, 1]], 1, "a single song"),
        ([[1, 3]], 3, "song number 2 of 3 is never played"),
    ],
)
def test_what_nothing_can_be_learned_from_is_refused(
    rows: list[list[int]], songs: int, message: str
) -> None:
    with pytest.raises(SkipGramError, match=message):
        train_skipgram(Ragged.of(rows), songs, CONFIG)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("dim", 0),
        ("epochs", 0),
        ("decay", 1.5),
        ("sample", -1.0),
        ("readout", "dot"),
        ("min_learning_rate", 1.0),
    ],
)
def test_settings_that_cannot_be_are_named(setting: str, value: object) -> None:
    with pytest.raises(ValueError, match=setting):
        replace(CONFIG, **{setting: value})  # type: ignore[arg-type]


def queries(decay: float, readout: str) -> torch.Tensor:
    inputs = np.array([[0, 0], [1, 0], [0, 2], [3, 4]], np.float32)
    outputs = np.array([[0, 0], [1, 0], [0, 1], [0, 0]], np.float32)
    vectors = SkipGram(inputs, outputs, np.array([0, 1, 1, 1]), 1, 1e-4)
    config = SkipGramConfig(dim=2, decay=decay, readout=readout)
    model = SkipGramNextSong(vectors, Vocabulary(["a", "b", "c"]), config)
    return model.scores(Contexts.of(Ragged.of([[1, 2], [], [3]])))


def test_the_session_is_read_by_recency_worked_by_hand() -> None:
    # (0.5 (1, 0) + (0, 2)) / 1.5 = (1/3, 4/3), whose products with v_1 and v_2 are its parts.
    assert queries(0.5, "product")[0, 1:].tolist() == pytest.approx([1 / 3, 4 / 3, 0])
    assert queries(0.0, "product")[2, 1:].tolist() == pytest.approx([3, 4, 0])
    # 0.5 (1, 0) + (0, 1) has length sqrt 1.25.
    cosines = [0.5 / 1.25**0.5, 1 / 1.25**0.5, (0.3 + 0.8) / 1.25**0.5]
    assert queries(0.5, "cosine")[0, 1:].tolist() == pytest.approx(cosines)
    assert queries(0.0, "cosine")[0, 1:].tolist() == pytest.approx([0, 1, 0.8])


def test_of_an_empty_session_nothing_is_said() -> None:
    assert (queries(0.5, "cosine")[1] == -torch.inf).all()


@pytest.mark.parametrize("decay", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("readout", ["cosine", "product"])
def test_scores_do_not_depend_on_the_batch(trained: SkipGram, decay: float, readout: str) -> None:
    config = replace(CONFIG, decay=decay, readout=readout)
    model = SkipGramNextSong(trained, Vocabulary(map(song, range(SONGS))), config)
    contexts = Contexts.of(group_sessions(GROUPS, 11, seed=9))
    together = model.scores(contexts)
    for row in range(len(contexts)):
        assert torch.equal(model.scores(contexts.slice(row, row + 1))[0], together[row])


def write(directory: Path, vectors: SkipGram, **changes: torch.Tensor) -> Manifest:
    return write_bundle(
        directory,
        kind="skipgram",
        config=vars(CONFIG),
        weights={**bundle_weights(vectors), **changes},
        vocabulary=Vocabulary(map(song, range(SONGS))),
        titles={},
        training={},
        metrics={},
    )


def test_a_bundle_gives_back_the_vectors_bit_by_bit(trained: SkipGram, tmp_path: Path) -> None:
    write(tmp_path / "bundle", trained)
    bundle, model = open_model(tmp_path / "bundle")
    back = skipgram_from_bundle(bundle)
    for name in ("inputs", "outputs", "counts"):
        assert getattr(back, name).tobytes() == getattr(trained, name).tobytes()
        assert getattr(back, name).dtype == getattr(trained, name).dtype
    assert (back.epochs, back.learning_rate) == (trained.epochs, trained.learning_rate)
    contexts = Contexts.of(group_sessions(GROUPS, 5, seed=6))
    vocabulary = Vocabulary(map(song, range(SONGS)))
    assert torch.equal(
        model.scores(contexts), SkipGramNextSong(trained, vocabulary, CONFIG).scores(contexts)
    )
    _, vectors = open_song_vectors(tmp_path / "bundle")
    assert torch.equal(vectors, torch.from_numpy(trained.inputs))
    more = group_sessions(GROUPS, 20, seed=7)
    assert (
        continue_training(back, more, SONGS, CONFIG).inputs.tobytes()
        == continue_training(trained, more, SONGS, CONFIG).inputs.tobytes()
    )


@pytest.mark.parametrize(
    ("name", "tensor"),
    [("outputs", torch.zeros(3, 3)), ("counts", torch.zeros(SONGS + 1))],
)
def test_a_bundle_of_other_shapes_is_refused(
    trained: SkipGram, tmp_path: Path, name: str, tensor: torch.Tensor
) -> None:
    write(tmp_path / "bundle", trained, **{name: tensor})
    with pytest.raises(BundleError, match=f"tensor '{name}' is .*train the bundle again"):
        skipgram_from_bundle(read_bundle(tmp_path / "bundle", "skipgram"))
