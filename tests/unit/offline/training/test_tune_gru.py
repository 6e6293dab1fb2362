"""The search for the GRU's settings: it repeats, gives up what is hopeless, and ends in time."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from click.testing import Result

from segue.models.bundles.bundle import read_bundle
from segue.models.data.vocabulary import Vocabulary
from segue.models.gru.network import GRUConfig
from segue.offline.cli.train.gru import gru
from segue.offline.datasets.sessions import Predictions
from segue.offline.training.trainer import INTERRUPTED, EpochMetrics, Progress, TrainingError
from segue.offline.training.tune_gru import (
    PRUNED,
    SAMPLING_SPACE,
    SPACE,
    GRUSearch,
    Trial,
    best_of,
    merit,
    search_hyper_parameters,
    space_of,
)
from segue.offline.training.tuning import Categorical, Integer, Real, TrialRun, search
from tests.support.cli import segue
from tests.support.toy import number_sessions, paired_sessions

PAIRS = 25
SMALL = GRUConfig(dim=16, hidden=16, batch_plays=256)


def study(config: GRUConfig = SMALL, trials: int = 3, epochs: int = 2, **options: Any) -> Any:
    songs = Vocabulary()
    log = number_sessions(paired_sessions(PAIRS, sessions=150, seed=1), songs)
    held_back = number_sessions(paired_sessions(PAIRS, sessions=20, seed=2), songs)
    validation = Predictions.of(held_back, len(songs))
    plan = GRUSearch(trials, epochs, options.pop("budget_s", float("inf")))
    return search_hyper_parameters(log, songs, validation, config, plan, **options)


def without_speed(trials: list[Trial]) -> list[dict[str, Any]]:
    """Return all that does not depend on the machine."""
    return [
        asdict(replace(t, epochs=tuple(replace(one, plays_per_s=0) for one in t.epochs)))
        for t in trials
    ]


def test_the_same_seed_gives_the_same_trials_and_another_gives_others() -> None:
    one, again, other = (study(seed=seed) for seed in (4, 4, 5))
    assert without_speed(one) == without_speed(again)
    assert one[0].config == other[0].config == SMALL  # the first trial is what was given
    assert one[1].config != other[1].config
    for trial in one[1:]:
        assert trial.config.hidden == trial.config.dim != SMALL.dim
        assert trial.config.min_count == SMALL.min_count  # not searched


def test_each_trial_is_judged_after_each_epoch_and_says_where_it_is() -> None:
    seen: list[Progress] = []
    trials = study(trials=2, on_progress=seen.append)
    assert [len(trial.epochs) for trial in trials] == [2, 2]
    assert {(one.part, one.epoch) for one in seen} == {
        *(("Trial 1 of 2", 1), ("Trial 1 of 2", 2), ("Trial 2 of 2", 1), ("Trial 2 of 2", 2)),
    }
    assert best_of(trials).best == max((e for t in trials for e in t.epochs), key=merit)


def test_a_trial_whose_loss_runs_away_counts_for_nothing() -> None:
    runaway, sound = study(replace(SMALL, scale=3e38), trials=2, epochs=1)
    assert "the loss became" in runaway.ended
    assert (runaway.epochs, runaway.figures()["mrr_at_20"]) == ((), None)
    assert best_of([runaway, sound]) is sound
    with pytest.raises(TrainingError, match="none of 1 trials"):
        best_of([runaway])


def test_the_budget_ends_the_search_and_the_trial_that_runs() -> None:
    ticks = itertools.count()
    trials = study(trials=50, epochs=50, budget_s=100, clock=lambda: float(next(ticks)))
    assert 1 <= len(trials) < 10
    assert trials[-1].ended == "the time is up"
    assert trials[-1].best is not None


def test_an_interruption_keeps_the_trials_so_far() -> None:
    def interrupt(at: tuple[str, int]) -> Callable[[Progress], None]:
        def on_progress(progress: Progress) -> None:
            if (progress.part, progress.epoch) == at:
                raise KeyboardInterrupt

        return on_progress

    assert len(study(on_progress=interrupt(("Trial 2 of 3", 1)))) == 1  # the second has nothing
    assert [t.ended for t in study(on_progress=interrupt(("Trial 1 of 3", 2)))] == [INTERRUPTED]
    with pytest.raises(KeyboardInterrupt):
        study(on_progress=interrupt(("Trial 1 of 3", 1)))


def test_what_is_drawn_is_searched_only_where_songs_are_drawn() -> None:
    assert space_of(GRUConfig(full_softmax_songs=10), songs=10) == SPACE
    assert space_of(GRUConfig(full_softmax_songs=10), songs=11).keys() > SAMPLING_SPACE.keys()


def test_the_defaults_lie_in_what_is_searched() -> None:
    defaults = GRUConfig()
    for name, setting in (SPACE | SAMPLING_SPACE).items():
        assert setting.nearest(getattr(defaults, name)) == getattr(defaults, name), name


def test_a_trial_worse_than_the_median_is_given_up() -> None:
    reported: list[tuple[int, int]] = []

    def attempt(given: TrialRun) -> float:
        quality = [3, 5, 4, 1, 9][given.number - 1]
        for epoch in (1, 2):
            reported.append((given.number, epoch))
            given.report(epoch, quality)
        return float(quality)

    search({"x": Real(0, 1)}, {"x": 0.5}, 5, attempt, seed=0)
    # Three may run to their end whatever they do; the fourth, of 1, has 3, 4 and 5 before it.
    assert reported == [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2), (4, 1), (5, 1), (5, 2)]


def test_the_search_finds_where_a_known_merit_is_highest() -> None:
    tried: list[dict[str, Any]] = []

    def attempt(given: TrialRun) -> float:
        tried.append({"x": 0.0, "n": 1, "c": 1, **given.settings})
        last = tried[-1]
        return -((last["x"] - 0.7) ** 2) - (last["n"] - 30) ** 2 / 1e4 + (last["c"] == 4)

    space = {"x": Real(0, 1), "n": Integer(1, 100, log=True), "c": Categorical((1, 4))}
    search(space, {"x": 0.0, "n": 1, "c": 1}, 40, attempt, seed=1)
    assert tried[0] == {"x": 0.0, "n": 1, "c": 1}
    best = max(tried, key=lambda t: -((t["x"] - 0.7) ** 2) - (t["n"] - 30) ** 2 / 1e4 + t["c"])
    assert best["c"] == 4
    assert best["x"] == pytest.approx(0.7, abs=0.15)


def test_what_is_given_up_was_worse_than_most_trials_before_it() -> None:
    trials = study(trials=8)
    pruned = [number for number, trial in enumerate(trials) if trial.ended == PRUNED]
    assert pruned
    for number in pruned:
        whole = [trial for trial in trials[:number] if trial.ended != PRUNED]
        [only] = trials[number].epochs
        assert merit(only) < median(merit(trial.epochs[0]) for trial in whole)


def test_a_tie_goes_to_the_trial_that_came_first() -> None:
    epoch = EpochMetrics(1, 1.0, 1.0, {"hit_rate_at_20": 0.5, "mrr_at_20": 0.1})
    first, second = Trial(SMALL, (epoch,), ""), Trial(replace(SMALL, scale=20), (epoch,), "")
    assert best_of([first, second]) is first


def train(plays: Path, out: Path, *arguments: object) -> Result:
    log = ("--plays", plays, "--format", "sessions")
    return segue("train", "gru", *log, "--out", out, *arguments)


@pytest.fixture
def plays(tmp_path: Path) -> Path:
    path = tmp_path / "sessions.txt"
    sessions = paired_sessions(PAIRS, sessions=150, seed=1)
    path.write_text("".join(" ".join(session) + "\n" for session in sessions))
    return path


def test_the_command_trains_the_bundle_by_the_best_settings(plays: Path, tmp_path: Path) -> None:
    out, reported = tmp_path / "bundle", tmp_path / "study.json"
    search = ("--tune", 2, "--tune-epochs", 1, "--dim", 8, "--epochs", 1)
    run = train(plays, out, *search, "--json", reported)
    assert run.exit_code == 0, run.output
    figures = json.loads(reported.read_text())
    assert [trial["config"]["dim"] == 8 for trial in figures["trials"]] == [True, False]
    best = max(figures["trials"], key=lambda one: one["hit_rate_at_20"] + one["mrr_at_20"])
    assert read_bundle(out).manifest.config == best["config"] == figures["config"]
    assert "Best of 2 trials: dim " in run.output
    assert "trained once more on everything" in run.output


def test_trials_that_nothing_can_judge_are_refused(plays: Path, tmp_path: Path) -> None:
    run = train(plays, tmp_path / "bundle", "--tune", 2, "--validation-fraction", 0)
    assert run.exit_code == 1
    assert "the validation split has no next song to predict" in run.output


def test_the_options_have_the_defaults_of_the_search() -> None:
    options = {option.name: option.default for option in gru.params}
    search = GRUSearch(options["trials"])
    assert (options["tune_epochs"], options["tune_budget_s"]) == (search.epochs, search.budget_s)
