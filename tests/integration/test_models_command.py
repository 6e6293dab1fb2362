"""`segue models`: list, activate and rollback, against a real broker."""

import json

import pytest

from segue.models.bundles.bundle import read_bundle, write_bundle
from segue.stream.serving.model_registry import read_model_registry
from tests.support.cli import segue, share_settings
from tests.support.toy import write_toy_bundle

pytestmark = pytest.mark.broker


@pytest.fixture
def root(broker_settings, monkeypatch, tmp_path):
    """Give a bundle root; `segue` sees the test's own broker and topics."""
    share_settings(monkeypatch, broker_settings)
    monkeypatch.setenv("SEGUE_BUNDLE_ROOT", str(tmp_path / "bundles"))
    (tmp_path / "bundles").mkdir()
    return tmp_path / "bundles"


def states(tmp_path):
    file = tmp_path / "models.json"
    assert segue("models", "list", "--json", file).exit_code == 0
    return {row["version"]: row["state"] for row in json.loads(file.read_text())["models"]}


def test_what_is_activated_serves_and_can_be_taken_back(root, broker_settings, tmp_path):
    first = write_toy_bundle(root / "gru", seed=1).version
    second = write_toy_bundle(root / "gru-new" / "made", seed=2).version
    assert states(tmp_path) == {first: "inactive", second: "inactive"}
    assert f"{first} is active" in segue("models", "activate", root / "gru").output
    assert f"{second} is active; before it {first}" in segue("models", "activate", second).output
    assert states(tmp_path) == {second: "active", first: "previous"}
    reported = read_model_registry(broker_settings).active
    assert (reported.version, reported.location) == (second, "gru-new/made")
    assert f"{first} is active again" in segue("models", "rollback").output
    assert states(tmp_path) == {second: "inactive", first: "active"}
    refused = segue("models", "rollback")
    assert refused.exit_code == 1
    assert "nothing before it is known" in refused.output
    assert "is active already" in segue("models", "activate", first).output


def test_song_vectors_are_activated_beside_what_serves(root, broker_settings):
    serving = write_toy_bundle(root / "gru").version
    bundle = read_bundle(root / "gru")
    vectors = write_bundle(
        root / "songs",
        kind="skipgram",
        config={},
        weights=bundle.weights,
        vocabulary=bundle.vocabulary,
        titles={},
        training={},
        metrics={},
    ).version
    segue("models", "activate", serving)
    assert f"{vectors} is active; before it nothing" in segue("models", "activate", vectors).output
    reported = read_model_registry(broker_settings)
    assert reported.active.version == serving
    assert reported.of_kind("skipgram").version == vectors


def test_what_cannot_serve_is_not_announced(root, broker_settings, tmp_path):
    outside = tmp_path / "outside"
    write_toy_bundle(outside)
    damaged = write_toy_bundle(root / "damaged")
    weights = root / "damaged" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    for name, said in [
        (outside, "outside the bundle root"),
        (damaged.version, "bytes, not"),
        ("gru-000000000000", "neither a bundle's directory nor a version"),
    ]:
        result = segue("models", "activate", name)
        assert result.exit_code == 1
        assert said in result.output
    assert read_model_registry(broker_settings).active is None


def test_a_bundle_that_was_refused_says_why(root, tmp_path):
    version = write_toy_bundle(root / "refused" / "some").version
    (root / "refused" / "some" / "reason.json").write_text('{"reason": "hit rate fell"}')
    assert states(tmp_path) == {version: "refused"}
    assert "hit rate fell" in segue("models", "list").output


def test_without_a_root_it_says_so(root, monkeypatch):
    monkeypatch.delenv("SEGUE_BUNDLE_ROOT")
    result = segue("models", "list")
    assert result.exit_code == 1
    assert "no bundle root is set" in result.output
