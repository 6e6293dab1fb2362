"""Attention that depends on the candidate: by hand, beside company, and as a bundle."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segue.models.attention.inference import AttentionTables, share_out
from segue.models.attention.network import CandidateAttention, CandidateAttentionConfig
from segue.models.attention.scorer import CandidateAttentionNextSong, NextPlays, attention_windows
from segue.models.bundles.bundle import read_bundle
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts, SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.ops.dot_products import ByteVectors
from segue.models.ops.negative_sampling import Negatives
from segue.models.registry import open_model
from segue.offline.training.attention_trainer import (
    TrainedAttention,
    train_attention,
)
from segue.offline.training.trainer import TrainingError
from tests.support.cli import segue
from tests.support.toy import paired_sessions, partner, song

PAIRS = 12
SMALL = CandidateAttentionConfig(
    dim=16, recent=4, past=0, negatives=64, batch_plays=64, dropout=0.1
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(songs: int = 5, **fields: Any) -> CandidateAttention:
    config = CandidateAttentionConfig(
        **{"dim": 3, "recent": 2, "past": 1, "dropout": 0.0, **fields}
    )
    model = CandidateAttention(config, songs)
    model.initialise(seeded(), torch.arange(songs + 1, dtype=torch.float32))
    return model


def by_hand() -> CandidateAttention:
    model = make(dim=1)
    with torch.no_grad():
        model.heard.weight[1:4] = torch.tensor([[1.0], [2.0], [-1.0]])
        model.asked.weight[1:4] = torch.tensor([[0.5], [1.0], [3.0]])
        model.often.weight[1:4] = torch.tensor([[0.1], [0.2], [0.3]])
        model.preference.weight.fill_(1.0)
        model.context.weight.fill_(2.0)
        model.place.copy_(torch.tensor([0.0, -1.0, -2.0]))
        model.sharpness.copy_(torch.tensor([1.0, 0.5, 0.25]))
        model.again.copy_(torch.tensor([4.0, 3.0, 2.0]))
    return model


def test_scores_and_weights_are_the_written_equations() -> None:
    scores, weights = by_hand().score(torch.tensor([[2, 1, 0]]), torch.tensor([[3, 1]]))
    # l_1(3) = 0 + 2 * 3 + 2 tanh 2; l_2(3) = -1 + 0.5 * 1 * 3 + 2 tanh 1
    one, two = 6 + 2 * math.tanh(2), 0.5 + 2 * math.tanh(1)
    assert scores[0, 0].item() == pytest.approx(math.log(math.exp(one) + math.exp(two)) + 0.3)
    share = math.exp(one) / (math.exp(one) + math.exp(two))
    assert weights[0, 0].tolist() == pytest.approx([share, 1 - share, 0.0])
    # Candidate 1 is the song in the second place: 3 more there.
    one, two = 1 + 2 * math.tanh(2), -1 + 0.25 + 2 * math.tanh(1) + 3
    assert scores[0, 1].item() == pytest.approx(math.log(math.exp(one) + math.exp(two)) + 0.1)


def test_the_loss_sums_over_the_answer_the_recent_and_the_drawn() -> None:
    model = by_hand()
    places, answer = torch.tensor([[2, 1, 0]]), torch.tensor([3])
    # Songs 2, 3 are drawn too, but have terms of their own; 4 stands for e songs.
    drawn = Negatives(torch.tensor([2, 3, 4]), torch.tensor([5.0, 5.0, 1.0]))
    scores = model.score(places, torch.tensor([[3, 2, 1, 4]]))[0][0] + torch.tensor([0, 0, 0, 1])
    expected = (scores.logsumexp(0) - scores[0]).item()
    assert model.loss(places, answer, drawn, seeded()).item() == pytest.approx(expected, rel=1e-5)


def test_with_every_song_drawn_the_loss_is_the_full_softmax() -> None:
    model = make(songs=7)
    places = torch.tensor([[3, 3, 5], [1, 0, 0], [0, 0, 2]])
    answers = torch.tensor([3, 2, 7])
    everything = Negatives(torch.arange(1, 8), torch.zeros(7))
    scores = model.all_scores(places)[:, 1:]
    expected = torch.nn.functional.cross_entropy(scores, answers - 1)
    torch.testing.assert_close(model.loss(places, answers, everything, seeded()), expected)


def test_the_whole_catalogue_is_scored_as_candidates_are() -> None:
    model = make(songs=30)
    places = torch.tensor([[3, 4, 9], [9, 0, 3], [0, 0, 0]])
    some = torch.tensor([[1, 4, 30], [3, 9, 2], [5, 6, 7]])
    scores, weights = model.score(places, some)
    torch.testing.assert_close(model.all_scores(places).gather(1, some), scores)
    assert model.all_scores(places)[:, 0].eq(-torch.inf).all()
    sums = weights.sum(-1)
    torch.testing.assert_close(sums[:2], torch.ones(2, 3))
    assert sums[2].eq(0).all()


def test_nothing_heard_means_what_is_popular() -> None:
    model = make()
    [row] = model.all_scores(torch.tensor([[0, 0, 0]]))
    assert row[1:].argsort(descending=True).tolist() == [4, 3, 2, 1, 0]


def test_neither_company_nor_padding_matters() -> None:
    model = make(songs=50)
    places = torch.randint(1, 51, (20, 3), generator=seeded(1))
    together = model.all_scores(places)
    for row in range(20):
        assert torch.equal(model.all_scores(places[[row]])[0], together[row])
    wide = make(songs=50, past=2)
    weights = model.state_dict()
    for name in ("place", "sharpness", "again"):
        weights[name] = torch.cat([weights[name], torch.ones(1)])
    wide.load_state_dict(weights)
    padded = torch.nn.functional.pad(places, (0, 1))
    torch.testing.assert_close(wide.all_scores(padded), together)


def test_places_are_the_latest_plays_then_the_listeners_past() -> None:
    contexts = Contexts(Ragged.of([[1, 2, 3], [4], []]), Ragged.of([[7, 8], [], [9]]))
    found = attention_windows(contexts, recent=2, past=2)
    assert found.tolist() == [[3, 2, 8, 7], [4, 0, 0, 0], [0, 0, 9, 0]]


def test_what_is_learned_from_is_what_will_be_seen() -> None:
    sessions = Ragged.of([[1, 2, 3], [5, 6], [4, 5], [7]])
    log = SessionLog(sessions, np.array([0, 1, 0, 0]), np.arange(4))
    plays = NextPlays(log, recent=2, past=2)
    rows = plays.windows(np.arange(len(plays))).tolist()
    assert sorted(zip(plays.answers.tolist(), rows, strict=True)) == [
        (2, [1, 0, 0, 0]),
        (3, [2, 1, 0, 0]),
        (5, [4, 0, 3, 2]),  # the listener's earlier session
        (6, [5, 0, 0, 0]),
    ]


@pytest.mark.parametrize("bad", [{"dim": 0}, {"past": -1}, {"dropout": 1.0}, {"negatives": 0}])
def test_a_bad_config_is_refused_by_name(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        CandidateAttentionConfig(**bad)


def toy_log(songs: Vocabulary) -> SessionLog:
    sessions = [[songs.add(each) for each in row] for row in paired_sessions(PAIRS, 200, seed=1)]
    return SessionLog(Ragged.of(sessions), np.arange(200), np.arange(200))


def train(seed: int = 0, epochs: int = 15) -> TrainedAttention:
    songs = Vocabulary()
    return train_attention(toy_log(songs), songs, SMALL, None, seed=seed, epochs=epochs)


@pytest.fixture(scope="module")
def trained() -> TrainedAttention:
    return train()


def test_the_partner_comes_first_and_its_song_is_the_reason(trained: TrainedAttention) -> None:
    scorer = trained.next_song()
    songs = trained.vocabulary
    for pair in range(2, PAIRS):
        heard = songs.numbers([song(0), song(1), song(2 * pair)])
        contexts = Contexts.of(Ragged.of([heard]))
        best = int(scorer.scores(contexts)[0].argmax())
        assert songs.song(best) == partner(song(2 * pair))
        places = torch.from_numpy(scorer.windows(contexts))
        scores, weights = trained.network.score(places, torch.tensor([[best, heard[0]]]))
        assert places.tolist() == [[*heard[::-1], 0]]
        assert weights[0, 0].argmax() == 0
        assert scores[0, 0] > scores[0, 1]


def test_equal_seeds_give_equal_weights_and_others_do_not() -> None:
    one, again, other = (train(seed, epochs=1).network.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["heard.weight"], other["heard.weight"])


def test_sessions_without_a_next_song_are_refused() -> None:
    log = SessionLog(Ragged.of([[1], [2]]), np.arange(2), np.arange(2))
    with pytest.raises(TrainingError, match="no session has two songs"):
        train_attention(log, Vocabulary("ab"), SMALL, None)


def test_the_command_writes_a_bundle_that_scores_as_it_did(tmp_path: Path) -> None:
    lines = ["user_id,song_id,played_at"]
    for number, session in enumerate(paired_sessions(PAIRS, sessions=150, seed=1)):
        at = 1_700_000_000 + number * 10_000
        lines += [f"u{number % 7},{each},{at + 200 * n}" for n, each in enumerate(session)]
    plays, out, reported = tmp_path / "plays.csv", tmp_path / "bundle", tmp_path / "figures.json"
    plays.write_text("\n".join(lines) + "\n")
    given = ("train", "amnn", "--plays", plays, "--out", out, "--json", reported)
    run = segue(*given, "--epochs", "4", "--dim", "16")
    assert run.exit_code == 0, run.output
    figures = json.loads(reported.read_text())
    assert (figures["sessions"], figures["songs"]) == (135, 2 * PAIRS)
    assert "AMNN" in run.output
    bundle, model = open_model(out)
    assert isinstance(model, CandidateAttentionNextSong)
    assert bundle.manifest.kind == "amnn"
    assert bundle.manifest.metrics["mrr_at_20"] == figures["mrr_at_20"]
    again = CandidateAttentionNextSong.from_bundle(read_bundle(out, "amnn"))
    contexts = Contexts(Ragged.of([[1, 2], []]), Ragged.of([[], [3]]))
    assert torch.equal(model.scores(contexts), again.scores(contexts))
    assert model.song_vectors().shape == (2 * PAIRS + 1, 16)
    assert segue(*given).exit_code == 1


def test_attention_gives_the_network_s_scores_and_weights():
    config = CandidateAttentionConfig(dim=24, recent=4, past=3)
    network = CandidateAttention(config, songs=40)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.5, generator=generator)
        quantised = ByteVectors.of(network.asked.weight.numpy())
        network.asked.weight.copy_(torch.from_numpy(quantised.codes * quantised.scales[:, None]))
    places = torch.randint(0, 41, (9, 7), generator=generator)
    places[3, 1:] = 0
    places[4] = 0
    items = torch.randint(0, 41, (9, 30), generator=generator)
    tables = AttentionTables.of(network)
    with torch.no_grad():
        scores, weights = network.score(places, items)
        shares = scores.masked_fill(items == 0, -torch.inf).log_softmax(1)
    found = torch.full(items.shape, -torch.inf)
    for row in range(len(items)):
        share_out(tables, places[row].numpy(), items[row].numpy(), found[row].numpy())
    torch.testing.assert_close(found, shares, rtol=1e-4, atol=1e-4)
    songs, reported = tables.reasons(places.numpy(), items.numpy(), 2)
    for row, slot in np.ndindex(*items.shape):
        by_song: dict[int, float] = {}
        for item, weight in zip(places[row].tolist(), weights[row, slot].tolist(), strict=True):
            by_song[item] = by_song.get(item, 0.0) + weight
        if items[row, slot] == 0:
            by_song = {}
        by_song.pop(0, None)
        heaviest = sorted(by_song.items(), key=lambda entry: -entry[1])[:2]
        expected = heaviest + [(0, 0.0)] * (2 - len(heaviest))
        assert songs[row, slot].tolist() == [song for song, _ in expected]
        np.testing.assert_allclose(reported[row, slot], [w for _, w in expected], rtol=1e-4)
