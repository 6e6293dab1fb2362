"""From a play log to a bundle of song vectors, searched settings included."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import Result

from segue.models.bundles.bundle import read_bundle
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts
from segue.models.item2vec.scorer import skipgram_from_bundle
from segue.models.item2vec.skipgram import SkipGramConfig
from segue.models.registry import open_model
from segue.offline.cli.train.skipgram import skipgram
from segue.offline.training.train_skipgram import TrainConfig
from tests.support.cli import segue
from tests.support.toy import paired_sessions

QUICK = ("--dim", 8, "--epochs", 5, "--sample", 0, "--ns-exponent", 0.5)


def write_sessions(path: Path, sessions: list[list[str]]) -> Path:
    path.write_text("\n".join(" ".join(session) for session in sessions) + "\n")
    return path


def train(plays: Path, out: Path, *arguments: object) -> Result:
    log = ("--plays", plays, "--format", "sessions")
    return segue("train", "skipgram", *log, "--out", out, *arguments)


@pytest.fixture
def plays(tmp_path: Path) -> Path:
    return write_sessions(tmp_path / "sessions.txt", paired_sessions(8, 300, seed=1))


def test_the_command_writes_a_model_that_beats_popularity(plays: Path, tmp_path: Path) -> None:
    out, reported = tmp_path / "songs", tmp_path / "figures.json"
    config = ("--dim", 16, "--sample", 0, "--ns-exponent", 0.5, "--window", 1)
    run = train(plays, out, *config, "--readout", "product", "--json", reported)
    assert run.exit_code == 0, run.output
    figures = json.loads(reported.read_text())
    assert figures["mrr_at_20"] > 1.5 * figures["popularity_mrr_at_20"]
    assert "300 sessions" in run.output
    bundle, model = open_model(out)
    item = bundle.vocabulary.number("song-6")
    assert item is not None
    best = model.scores(Contexts.of(Ragged.of([[item]])))[0, 1:].argmax() + 1
    assert bundle.vocabulary.song(int(best)) == "song-7"


def test_the_vectors_kept_are_learned_from_all_plays_unless_told_otherwise(tmp_path: Path) -> None:
    # A song that came out last stands in the plays held back alone.
    sessions = [*paired_sessions(8, 95, seed=1), *[["song-0", "late", "song-1"]] * 5]
    plays = write_sessions(tmp_path / "sessions.txt", sessions)
    until = {}
    for name, flag, known in (("all", "--refit", True), ("past", "--no-refit", False)):
        assert train(plays, tmp_path / name, flag, *QUICK).exit_code == 0
        bundle = read_bundle(tmp_path / name, "skipgram")
        assert ("late" in bundle.vocabulary) == known
        counted = int(skipgram_from_bundle(bundle).counts.sum())
        assert counted == bundle.manifest.training["plays"]
        assert (counted == sum(map(len, sessions))) == known
        until[name] = bundle.manifest.training["to_ms"]
    assert until["past"] < until["all"]


def test_a_search_repeats_and_is_never_worse_than_where_it_began(
    plays: Path, tmp_path: Path
) -> None:
    figures = []
    for name in ("one", "two"):
        reported = tmp_path / f"{name}.json"
        run = train(plays, tmp_path / name, *QUICK, "--tune", 3, "--json", reported)
        assert run.exit_code == 0, run.output
        figures.append(json.loads(reported.read_text()))
    assert figures[0]["trials"] == figures[1]["trials"]
    assert len(figures[0]["trials"]) == 3
    first = figures[0]["trials"][0]
    assert (first["config"]["dim"], first["config"]["epochs"]) == (8, 5)
    best = max(figures[0]["trials"], key=lambda trial: trial["mrr_at_20"])
    assert best["config"] == figures[0]["config"]
    assert read_bundle(tmp_path / "one", "skipgram").manifest.config == best["config"]
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1]


def test_rare_songs_are_left_out(tmp_path: Path) -> None:
    plays = write_sessions(
        tmp_path / "sessions.txt", [["once", "song-0"], *paired_sessions(4, 50, seed=2)]
    )
    assert train(plays, tmp_path / "songs", *QUICK, "--min-count", 2).exit_code == 0
    vocabulary = read_bundle(tmp_path / "songs", "skipgram").vocabulary
    assert len(vocabulary) == 8
    assert "once" not in vocabulary


def test_the_options_have_the_defaults_of_the_config() -> None:
    options = {option.name: option.default for option in skipgram.params}
    config = asdict(SkipGramConfig())
    shown = config.keys() & options.keys()
    assert {"dim", "window", "epochs", "ns_exponent", "sample", "readout", "decay"} <= shown
    assert {name: options[name] for name in shown} == {name: config[name] for name in shown}
    split = asdict(TrainConfig())
    assert {name: options[name] for name in split} == split


@pytest.mark.parametrize(
    ("sessions", "arguments", "message"),
    [
        ([["a"], ["b"]], ("--validation-fraction", 0), "has two songs"),
        ([["a", "a"]], ("--validation-fraction", 0), "a single song"),
        ([["a", "b"], ["c", "d"]], ("--validation-fraction", 0.5), "no next song to predict"),
        ([["a", "b"]] * 9, ("--tune", 2, "--validation-fraction", 0), "--validation-fraction"),
        ([["a", "b"]] * 9, ("--min-count", 99), "lower min_count"),
    ],
)
def test_what_nothing_can_be_learned_from_is_told_in_one_line(
    tmp_path: Path, sessions: list[list[str]], arguments: tuple[object, ...], message: str
) -> None:
    plays = write_sessions(tmp_path / "sessions.txt", sessions)
    run = train(plays, tmp_path / "songs", *QUICK, *arguments)
    assert run.exit_code == 1, run.output
    assert message in run.output
    assert run.output.startswith("Error: ")
    assert run.output.count("\n") == 1


def test_a_directory_that_must_not_be_written_is_refused_before_training(
    plays: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    run = train(plays, tmp_path / "mine", "--epochs", 100_000)
    assert run.exit_code == 1
    assert "is no bundle" in run.output
