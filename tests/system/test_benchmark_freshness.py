"""How soon a play has an effect, through a real broker, worker and refresh."""

from __future__ import annotations

import json

import pytest
import torch

from segue.models.data.vocabulary import Vocabulary
from segue.models.ranking.schema import CANDIDATE_FEATURES
from segue.offline.benchmarks.freshness import FreshnessConfig
from tests.support.cli import segue
from tests.support.toy import number_sessions, paired_sessions
from tests.support.toy_hybrid import fit_hybrid, write_hybrid

pytestmark = pytest.mark.broker


def test_new_songs_are_found_at_once_and_a_refreshed_model_serves_soon(tmp_path):
    songs = Vocabulary()
    log = number_sessions(paired_sessions(30, 200, seed=1), songs)
    model = fit_hybrid(log, songs, epochs=1)
    with torch.no_grad():  # as a ranker that has learned to listen to what is played of late
        model.ranker.weights.weight[0, CANDIDATE_FEATURES.index("live")] = 5
    write_hybrid(tmp_path / "hybrid", model, log)
    words = ["--bundle", str(tmp_path / "hybrid"), "--rounds", "20"]
    words += ["--json", str(tmp_path / "figures.json")]
    result = segue("bench", "freshness", *words)
    assert result.exit_code == 0, (result.output, result.exc_info)
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["live_found_share"] > 0.8
    assert 0 < figures["live_p50_s"] <= figures["live_p95_s"] < figures["refresh_to_list_s"]
    assert 0 < figures["refresh_s"] < figures["refresh_to_list_s"]
    assert figures["refresh_cpu_s"] > 0
    assert f"{figures['live_p50_s']:,.3g}" in result.output


def test_too_few_rounds_are_refused(tmp_path):
    with pytest.raises(ValueError, match="rounds must be >= 20"):
        FreshnessConfig(tmp_path, rounds=3)
