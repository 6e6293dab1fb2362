"""`segue evaluate` as people call it: on toy worlds whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tests.support.cli import segue
from tests.support.toy import paired_sessions, write_toy_bundle


def write_sessions(path: Path, sessions: list[list[str]]) -> Path:
    path.write_text("".join(" ".join(each) + "\n" for each in sessions), encoding="utf-8")
    return path


@pytest.fixture
def world(tmp_path: Path) -> tuple[Path, Path]:
    """Return a training and a test file of toy sessions."""
    return (
        write_sessions(tmp_path / "train_sessions.txt", paired_sessions(10, 60, seed=1)),
        write_sessions(tmp_path / "test_sessions.txt", paired_sessions(10, 30, seed=2)),
    )


def run(*arguments: str | Path) -> Result:
    return segue("evaluate", *arguments)


def figures_of(tmp_path: Path, *arguments: str | Path) -> dict[str, Any]:
    result = run(*arguments, "--json", tmp_path / "figures.json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads((tmp_path / "figures.json").read_text("utf-8"))
    return found


def test_popularity_is_right_as_often_as_its_list_says(world, tmp_path):
    train, test = world
    found = figures_of(tmp_path, "--baselines", "popularity", "--plays", train, "--test", test)
    model, data = found["popularity"], found["_data"]
    assert data["predictions"] == 30 * 5
    assert data["train_plays"] == 60 * 6
    assert model["hit_rate_at_20"] == 1.0, "of 20 songs all are in the list"
    played = "".join(train.read_text()).split()
    best = max(set(played), key=played.count)
    answers = [song for line in test.read_text().splitlines() for song in line.split()[1:]]
    assert model["hit_rate_at_1"] <= answers.count(best) / len(answers)
    assert model["coverage_at_20"] == 1.0
    assert model["map_at_10"] == model["mrr_at_10"]
    low, high = model["ci"]["mrr_at_20"]
    assert low <= model["mrr_at_20"] <= high


@pytest.mark.parametrize(
    "split",
    [["--split", "time"], ["--windows", "3"], ["--split", "leave-last-out"], ["--split", "kfold"]],
)
def test_one_log_can_be_parted_in_every_way(split, world, tmp_path):
    train, _ = world
    arguments = ["--baselines", "popularity", "--plays", train, *split, "--test-fraction", "0.2"]
    found = figures_of(tmp_path, *arguments)
    assert 0 < found["popularity"]["mrr_at_20"] < 1
    assert ("spread" in found["popularity"]) == (split[-1] in ("3", "kfold"))


def test_a_bundle_is_named_after_its_directory_and_tested_against_the_others(world, tmp_path):
    train, test = world
    write_toy_bundle(tmp_path / "mine", songs=20)
    arguments = ["--bundle", tmp_path / "mine", "--baselines", "popularity"]
    found = figures_of(tmp_path, *arguments, "--plays", train, "--test", test)
    assert set(found) == {"mine", "popularity", "_data", "_tests", "_settings", "_notes"}
    assert found["mine"]["kind"] == "gru"
    assert 0 < found["popularity"]["diversity_at_20"] < 2
    assert {test["metric"] for test in found["_tests"]} >= {"mrr_at_20"}
    for each in found["_tests"]:
        assert sorted(each["models"]) == ["mine", "popularity"]
        assert each["ci"][0] <= each["difference"] <= each["ci"][1]


def test_sampled_figures_stand_apart_with_a_caution(world, tmp_path):
    train, test = world
    arguments = ["--baselines", "popularity", "--plays", train, "--test", test]
    result = run(*arguments, "--sampled-negatives", "9", "--json", tmp_path / "f.json")
    assert "Krichene" in result.output
    model = json.loads((tmp_path / "f.json").read_text())["popularity"]
    assert model["sampled_hit_rate_at_10"] == 1.0, "ten songs, and ten places"
    assert "sampled_hit_rate_at_10" not in model["ci"]
    plain = figures_of(tmp_path, *arguments)["popularity"]
    assert not any(name.startswith("sampled") for name in plain)


def test_the_limit_draws_by_seed(world, tmp_path):
    train, test = world
    arguments = ["--baselines", "popularity", "--plays", train, "--test", test, "--limit", "40"]
    one, again, other = (figures_of(tmp_path, *arguments, "--seed", seed) for seed in "112")
    assert one["_data"]["predictions"] == 40
    assert one["popularity"]["curve"] == again["popularity"]["curve"]
    assert one["popularity"]["curve"] != other["popularity"]["curve"]


def test_odd_catalogues_give_honest_figures_and_no_crash(tmp_path):
    train = write_sessions(tmp_path / "train_sessions.txt", [["x" * 200, "y"], ["z"], ["y", "z"]])
    unknown = tmp_path / "t.tsv"
    unknown.write_text("q\tr\ny q\tr\n", encoding="utf-8")
    found = figures_of(tmp_path, "--baselines", "popularity", "--plays", train, "--test", unknown)
    assert found["popularity"]["hit_rate_at_20"] == 0.0
    assert found["_data"]["answers_not_in_catalogue"] == 1.0
    assert list(found["popularity"]["slices"]["answer"]) == ["not in the catalogue"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--baselines", "popular"], "there is no baseline 'popular'"),
        ([], "nothing to evaluate"),
        (["--bundle", "BUNDLE", "--windows", "3"], "cannot be judged by --split windows"),
        (["--bundle", "BUNDLE", "--split", "time"], "was trained on plays of the test part"),
        (
            ["--baselines", "popularity", "--test", "ONE", "--test-format", "sessions"],
            "no song follows another",
        ),
        (["--baselines", "popularity", "--sampled-negatives", "99"], "a catalogue of 20"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_one_line(arguments, said, world, tmp_path):
    train, _ = world
    write_toy_bundle(tmp_path / "bundle", songs=20, plays=10_000)
    one = write_sessions(tmp_path / "one_sessions.txt", [["song-1"], ["song-2"]])
    places = {"BUNDLE": str(tmp_path / "bundle"), "ONE": str(one)}
    result = run("--plays", train, *(places.get(each, each) for each in arguments))
    assert result.exit_code == 1
    assert said in result.output
    assert result.output.count("\n") == 1
