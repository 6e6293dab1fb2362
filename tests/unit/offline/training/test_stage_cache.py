"""Stages of a long training: done once, whatever interrupts it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segue.offline.training.stage_cache import StageCache, stage_key


@pytest.fixture
def stages(tmp_path):
    return StageCache.next_to(tmp_path / "bundle")


def counted(calls):
    calls.append(1)
    return {"weight": torch.arange(3.0)}, {"epoch": len(calls)}


def test_a_finished_stage_is_not_trained_again(stages):
    calls = []
    first = stages.once("gru-1", lambda: counted(calls))
    again = stages.once("gru-1", lambda: counted(calls))
    assert len(calls) == 1
    assert again[1] == first[1] == {"epoch": 1}
    assert torch.equal(again[0]["weight"], torch.arange(3.0))


def test_another_key_is_another_stage(stages):
    calls = []
    stages.once("gru-1", lambda: counted(calls))
    assert stages.once("gru-2", lambda: counted(calls))[1] == {"epoch": 2}


def test_an_interrupted_stage_leaves_nothing_to_be_found(stages):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stages.once("gru-1", interrupted)
    calls = []
    stages.once("gru-1", lambda: counted(calls))
    assert len(calls) == 1


def test_a_torn_file_is_trained_anew(stages):
    calls = []
    stages.once("gru-1", lambda: counted(calls))
    (stages.directory / "gru-1.safetensors").write_bytes(b"torn")
    assert stages.once("gru-1", lambda: counted(calls))[1] == {"epoch": 2}


def test_nothing_is_left_when_all_is_done(stages):
    stages.once("gru-1", lambda: counted([]))
    stages.clear()
    assert not stages.directory.exists()
    stages.clear()  # there may have been none


def test_keys_tell_arrays_and_settings_apart():
    keys = {
        stage_key("gru", [np.array([1, 2])], {"dim": 8}),
        stage_key("gru", [np.array([1, 3])], {"dim": 8}),
        stage_key("gru", [np.array([1]), np.array([2])], {"dim": 8}),
        stage_key("gru", [np.array([1, 2])], {"dim": 9}),
        stage_key("gru", [np.array([1, 2], np.int32)], {"dim": 8}),
    }
    assert len(keys) == 5
    assert stage_key("a", [np.arange(3)], [1]) == stage_key("a", [np.arange(3)], [1])
