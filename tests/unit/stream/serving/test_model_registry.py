"""What the topic `models` says: read, reported apart from nonsense, and stepped back from."""

import msgspec
import pytest

from segue.stream.messages.records import Record
from segue.stream.serving.model_registry import (
    MAX_PREVIOUS,
    ActiveModel,
    ModelRegistry,
    ModelVersion,
    RegistryError,
    bundle_directory,
    decode_active_model,
    promote,
    rollback,
)


def version(number, kind="gru"):
    return f"{kind}-{number:012x}"


def served(number, kind="gru"):
    return ModelVersion(version(number, kind), f"{kind}/{version(number, kind)}")


def record(made, offset=0, key=None):
    value = None if made is None else msgspec.json.encode(made)
    return Record("models", 0, offset, 0, key or made.kind.encode(), value)


def test_the_last_announced_of_the_kinds_that_serve_is_in_service():
    reported = ModelRegistry()
    reported.take([record(promote(served(1), None)), record(promote(served(2, "hybrid"), None))])
    assert reported.active.version == version(2, "hybrid")
    reported.take([record(promote(served(3), None))])
    assert reported.active.version == version(3)
    reported.take([record(promote(served(4, "skipgram"), None))])
    assert reported.active.version == version(3)
    reported.take([record(None, key=b"gru")])
    assert reported.active.version == version(2, "hybrid")


def test_what_is_no_announcement_is_passed_over_and_counted():
    good, bad = promote(served(1), None), []
    reported = ModelRegistry(lambda: bad.append(1))
    reported.take(
        [
            record(good),
            Record("models", 0, 1, 0, b"gru", b"{"),
            Record("models", 0, 2, 0, b"gru", b"\xff"),
            record(promote(served(2), None), key=b"hybrid"),
            record(ActiveModel("gru", version(3, "hybrid"), "hybrid")),
            record(ActiveModel("gru", "gru-latest", "gru")),
        ]
    )
    assert reported.active == good
    assert len(bad) == 5


@pytest.mark.parametrize("location", ["../elsewhere", "/etc", ".", "gru/../..", "linked/gru"])
def test_a_place_outside_the_root_is_refused(tmp_path, location):
    root = tmp_path / "bundles"
    root.mkdir()
    (tmp_path / "other" / "gru").mkdir(parents=True)
    (root / "linked").symlink_to(tmp_path / "other")
    with pytest.raises(RegistryError, match="outside the bundle root"):
        bundle_directory(root, location)


def test_a_place_inside_the_root_is_found_however_it_is_named(tmp_path):
    inside = tmp_path / "gru" / "v"
    assert bundle_directory(tmp_path, "gru/v") == inside
    assert bundle_directory(tmp_path, str(inside)) == inside
    assert bundle_directory(tmp_path, "other/../gru/v") == inside


def test_rollbacks_retrace_the_activations_across_kinds():
    first = promote(served(1), None)
    second = promote(served(2, "hybrid"), first)
    third = promote(served(3, "hybrid"), second)
    back = rollback(third)
    assert back == second
    assert rollback(back) == first
    with pytest.raises(RegistryError, match="nothing before it is known"):
        rollback(first)
    with pytest.raises(RegistryError, match="nothing serves"):
        rollback(None)


def test_only_so_many_are_remembered():
    reported = None
    for number in range(MAX_PREVIOUS + 5):
        reported = promote(served(number), reported)
    assert len(reported.previous) == MAX_PREVIOUS
    assert reported.previous[0] == served(MAX_PREVIOUS + 3)
    key, value = reported.kind.encode(), msgspec.json.encode(reported)
    assert list(decode_active_model(key, value).previous) == list(reported.previous)
