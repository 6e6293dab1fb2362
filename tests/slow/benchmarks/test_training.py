"""Training speed beside the simplest loop: that loop learns, and the figures agree."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from segue.models.data.ragged import Ragged
from segue.models.data.vocabulary import Vocabulary
from segue.offline.benchmarks.training import (
    PlainGRU,
    PlainLoop,
)
from segue.offline.operations.resources import peak_mib
from tests.support.cli import segue
from tests.support.toy import number_sessions, paired_sessions, partner, song

PAIRS = 10


def paired_loop(seed: int = 1) -> tuple[PlainLoop, Vocabulary]:
    songs = Vocabulary()
    log = number_sessions(paired_sessions(PAIRS, sessions=200, seed=1), songs)
    return PlainLoop(log.sessions, len(songs), 16, batch_sessions=20, seed=seed), songs


def test_the_simplest_loop_learns_what_comes_next() -> None:
    # Were it no model at all, being faster than it would say nothing.
    loop, songs = paired_loop()
    for _ in range(40):
        for items in loop.batches():
            loop.step(items)
    firsts = [song(2 * pair) for pair in range(PAIRS)]
    scores = loop.model.scores(torch.tensor([songs.numbers([first]) for first in firsts]))
    assert [songs.song(number) for number in scores.argmax(1).tolist()] == [*map(partner, firsts)]


def test_its_loss_is_that_over_all_songs_at_the_real_places() -> None:
    model = PlainGRU(songs=3, dim=4)
    with torch.no_grad():
        model.songs.weight.zero_()  # all songs, the padding among them, are alike
    items = torch.tensor([[1, 2, 3], [2, 1, 0]])
    assert model.loss(items).item() == pytest.approx(math.log(4))
    assert model.scores(items).shape == (5, 4)


def test_padding_changes_nothing() -> None:
    loop, _ = paired_loop()
    alone = torch.tensor([[1, 2, 3]])
    padded = torch.tensor([[1, 2, 3, 0, 0]])
    torch.testing.assert_close(loop.model.loss(alone), loop.model.loss(padded))


def test_an_epoch_learns_each_next_song_once_and_the_time_ends_it_before() -> None:
    loop, _ = paired_loop()
    ticks = iter(range(1000))
    # The clock is read once to begin, once a step, once to end.
    assert loop.plays_per_s(math.inf, lambda: float(next(ticks))) == 200 * 5 / 11
    ticks = iter(range(1000))
    assert loop.plays_per_s(3, lambda: float(next(ticks))) == 3 * 20 * 5 / 4


def test_every_session_comes_once_an_epoch_in_another_order() -> None:
    loop = PlainLoop(Ragged.of([[1, 2], [3, 4, 5], [6, 7]]), 7, 4, batch_sessions=2, seed=0)
    epochs = [torch.cat([b.flatten() for b in loop.batches()]).tolist() for _ in range(6)]
    assert all(sorted(item for item in epoch if item) == [1, 2, 3, 4, 5, 6, 7] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


GROWS = """
import torch
from segue.offline.operations.resources import reset_peak, peak_mib
torch.ones(16, 1024, 1024)  # 64 MiB, freed at once
reset_peak()
before = peak_mib()
torch.ones(32, 1024, 1024)
print(peak_mib() - before)
"""


@pytest.mark.skipif(peak_mib() is None, reason="only Linux counts the peak")
def test_the_peak_is_that_of_the_work_since_it_was_forgotten() -> None:
    # In a process that holds no freed memory to use again.
    reported = subprocess.run(
        [sys.executable, "-c", GROWS], capture_output=True, text=True, check=True
    )
    assert 120 < float(reported.stdout) < 250


def test_the_command_measures_both_in_turn(tmp_path: Path) -> None:
    plays, reported = tmp_path / "sessions.txt", tmp_path / "figures.json"
    sessions = [*paired_sessions(PAIRS, sessions=60, seed=1), ["alone"]]
    plays.write_text("".join(" ".join(session) + "\n" for session in sessions))
    before = torch.get_num_threads()
    options = ("--rounds", 2, "--seconds", 0.1, "--dim", 8, "--threads", 1, "--threads", 2)
    run = segue(
        *("bench", "training", "--plays", plays, "--format", "sessions", "--json", reported),
        *options,
    )
    assert run.exit_code == 0, run.output
    figures = json.loads(reported.read_text())
    assert (figures["sessions"], figures["plays"]) == (60, 360)
    assert figures["plain_batch_sessions"] == round(2048 / 5)
    assert [one["threads"] for one in figures["threads"]] == [1, 2]
    for one in figures["threads"]:
        assert len(one["rounds"]) == 2
        for each in one["rounds"]:
            assert each["ratio"] == each["gru_plays_per_s"] / each["plain_plays_per_s"] > 0
    assert torch.get_num_threads() == before
    assert "plays/s, 2 threads" in run.output


def test_sessions_of_one_song_are_refused(tmp_path: Path) -> None:
    plays = tmp_path / "sessions.txt"
    plays.write_text("a\nb\n")
    run = segue("bench", "training", "--plays", plays, "--format", "sessions")
    assert run.exit_code == 1
    assert "no session has two songs" in run.output
