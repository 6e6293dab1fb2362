"""Who is judged, under which name, and whether it has seen the answers."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from segue.models.errors import SegueError
from segue.offline.datasets.splits import Split, leave_last_out, split_by_log, time_split
from segue.offline.evaluation.models import LeakError, evaluated_models, leaks
from tests.support.logs import lines_log, play_log
from tests.support.toy import song, write_toy_bundle

LOG = play_log(*(("u", str(n), 100 * n, [song(n % 6), song(0)]) for n in range(20)))
GAP_S = 1800.0


def doubts(tmp_path: Path, split: Split, validated: bool = True, **training: int) -> list[str]:
    manifest = write_toy_bundle(tmp_path / "gru", overwrite=True)
    metrics = {"mrr_at_20": 0.5} if validated else {}
    reported = msgspec.structs.replace(manifest, training=training, metrics=metrics)
    return list(leaks(tmp_path / "gru", reported, split))


def test_a_bundle_that_learned_from_the_test_part_is_refused(tmp_path):
    split = time_split(LOG, GAP_S, 0.2)
    assert split.from_ms is not None
    with pytest.raises(LeakError, match=r"gru was trained on plays of the test part \(time\)"):
        doubts(tmp_path, split, plays=10, to_ms=split.from_ms)


def test_a_bundle_of_more_plays_than_there_are_to_learn_from_is_refused(tmp_path):
    split = leave_last_out(LOG, GAP_S)
    with pytest.raises(LeakError):
        doubts(tmp_path, split, plays=len(split.train.sessions.values) + 1)


def test_a_bundle_that_ends_before_the_test_part_is_taken(tmp_path):
    split = time_split(LOG, GAP_S, 0.2)
    assert split.to_ms is not None
    learned = {"plays": 32, "to_ms": split.to_ms}
    assert doubts(tmp_path, split, validated=False, **learned) == []
    [said] = doubts(tmp_path, split, **learned)
    assert "kept its best epoch" in said


def test_what_cannot_be_told_is_said(tmp_path):
    [said] = doubts(tmp_path, leave_last_out(LOG, GAP_S), plays=10)
    assert "nothing proves" in said
    other = split_by_log("test", LOG, LOG, GAP_S)
    [said] = doubts(tmp_path, other, plays=40, to_ms=other.to_ms or 0)
    assert "later than the first test play" in said
    untimed = split_by_log("test", lines_log("a b"), lines_log("a b"), GAP_S)
    assert doubts(tmp_path, untimed, plays=2, to_ms=10**15) == []


def test_equal_names_are_told_apart_and_none_hides_a_section(tmp_path):
    directories = [tmp_path / part for part in ("a/popularity", "b/popularity", "_tests")]
    for directory in directories:
        write_toy_bundle(directory)
    judged = evaluated_models(directories, ["popularity", "popularity"], seed=0)
    names = [each.name for each in judged]
    assert names == ["popularity", "popularity-2", "tests", "popularity-3"]


def test_a_baseline_tells_its_config_and_speed():
    [model] = evaluated_models([], ["popularity"], seed=0)
    fitted = model.fit(time_split(LOG, GAP_S, 0.2))
    assert fitted.facts["train_plays_per_s"] > 0
    assert fitted.facts["train_seconds"] >= 0
    assert isinstance(fitted.facts["config"], dict)


def test_an_unknown_baseline_is_answered_with_those_there_are():
    with pytest.raises(SegueError, match=r"no baseline 'pop': choose from .*popularity"):
        evaluated_models([], ["pop"], seed=0)
