"""Fixtures of more than one test file."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.brokers import broker, broker_settings
from tests.support.clock import clock

__all__ = ["broker", "broker_settings", "clock", "data_dir"]

# Doctests are looked for in every file; these import what only `make test-browser` installs.
collect_ignore_glob = [] if find_spec("playwright") else ["browser*.py"]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Give the directory of the public data sets; tests that need it skip where it is absent."""
    beside = Path(__file__).parents[1].parent / "shared" / "data"
    directory = Path(os.environ.get("SEGUE_TEST_DATA") or beside)
    if not directory.is_dir():
        pytest.skip(f"no public data sets at {directory}; set SEGUE_TEST_DATA to where they lie")
    return directory
