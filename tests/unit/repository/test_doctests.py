"""Examples in docstrings give what they show; only modules that have some are imported."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILES = [
    path
    for folder in ("models", "stream", "offline", "tests/support")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(parts).removesuffix(".__init__")
    return name if parts[0] == "tests" else f"segue.{name}"


@pytest.mark.parametrize("name", [module_name(path) for path in FILES])
def test_examples_give_what_they_show(name: str):
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted > 0
    assert results.failed == 0
