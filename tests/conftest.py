"""Fixtures of more than one test file; markers and timeouts of each tier."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from tests.support.brokers import broker, broker_settings
from tests.support.clock import clock

if TYPE_CHECKING:
    from segue.models.hybrid.model import HybridNextSong

__all__ = ["broker", "broker_settings", "clock"]

TESTS = Path(__file__).parent
# Seconds until a test counts as hung, a folder of tests a row: far above what a busy machine takes.
TIMEOUTS_S = {"integration": 900, "slow": 1200, "system": 1200, "deployment": 2400, "browser": 1200}

collect_ignore = [] if find_spec("playwright") else ["browser"]

# Read when torch is first imported, here and in the processes that tests start: test processes
# run side by side, and networks of toy size gain nothing from more threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No example may fail for the seconds that a busy machine takes over it.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its tier, the folder it lies in, and give it the tier's time."""
    for item in items:
        tier = item.path.relative_to(TESTS).parts[0]
        if tier in TIMEOUTS_S:
            item.add_marker(tier)
            item.add_marker(pytest.mark.timeout(TIMEOUTS_S[tier]))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the directory of the public data sets; tests that need it skip where it is absent."""
    beside = TESTS.parents[1] / "shared" / "data"
    directory = Path(os.environ.get("SEGUE_TEST_DATA") or beside)
    if not directory.is_dir():
        pytest.skip(f"no public data sets at {directory}; set SEGUE_TEST_DATA to where they lie")
    return directory


@pytest.fixture(scope="session")
def hybrid_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bundle of a hybrid trained on `toy_world`, which nobody may change.

    It is written once for all test processes.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    directory = folder / "toy-hybrid"
    with FileLock(folder / "toy-hybrid.lock"):
        if not directory.exists():
            from tests.support.toy_hybrid import fit_hybrid, toy_world, write_hybrid

            log, songs = toy_world()
            write_hybrid(directory, fit_hybrid(log, songs), log)
    return directory


@pytest.fixture(scope="module")
def hybrid(hybrid_bundle: Path) -> HybridNextSong:
    """Return the model of `hybrid_bundle`."""
    from segue.models.bundles.bundle import read_bundle
    from segue.models.hybrid.model import HybridNextSong

    return HybridNextSong.from_bundle(read_bundle(hybrid_bundle, "hybrid"))
