"""The image's steps, carried out in a clean directory without Docker: `make test-deployment`.

Everything is installed anew from the package index, which takes minutes. What needs a root of its
own is left out: the base image, and the user that is added.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "stream" / "Dockerfile").read_text(encoding="utf-8")
STEP = re.compile(r"^([A-Z]+) (.+)$", re.MULTILINE)
pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("SEGUE_TEST_DEPLOYMENT"), reason="takes minutes: make test-deployment"
    ),
]


class Stage:
    """One stage of the Dockerfile, with a folder in the place of the image's root."""

    def __init__(self, root, stages):
        self.root = root
        self.stages = stages
        self.folder = root
        # As it is here, so that pip finds the index it is reported of; without what is ours.
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SEGUE_", "PYTHON"))}
        self.environment = kept | {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        root.mkdir()

    def inside(self, path):
        """Return the place below the root of a path in the image."""
        return self.root / path.lstrip("/") if path.startswith("/") else self.folder / path

    def take(self, instruction, words):
        """Carry out one instruction."""
        if instruction == "WORKDIR":
            self.folder = self.inside(words)
            self.folder.mkdir(parents=True, exist_ok=True)
        elif instruction == "ENV":
            for name, value in (pair.split("=", 1) for pair in shlex.split(words)):
                value = value.replace("/opt", f"{self.root}/opt")
                self.environment[name] = value.replace("$PATH", self.environment["PATH"])
        elif instruction == "COPY":
            self._copy(shlex.split(words))
        elif instruction == "RUN" and not words.startswith("useradd"):
            command = words.replace("/opt/segue", f"{self.root}/opt/segue")
            self.run("sh", "-c", command)

    def run(self, *words):
        result = subprocess.run(
            words, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        assert result.returncode == 0, f"{words}: {result.stdout}{result.stderr}"
        return result.stdout

    def _copy(self, words):
        if words[0].startswith("--from="):
            # A virtual environment knows where it lies: it stays there.
            os.symlink(
                self.stages[words[0].removeprefix("--from=")].root / "opt", self.root / "opt"
            )
            return
        *sources, target = words
        for source in sources:
            place = self.inside(target)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place)
            else:
                shutil.copy(ROOT / source, place)


def test_the_steps_make_a_segue_that_runs(tmp_path):
    stages = {}
    for instruction, words in STEP.findall(DOCKERFILE.replace("\\\n", " ")):
        if instruction == "FROM":
            name = words.partition(" AS ")[2] or "final"
            stages[name] = Stage(tmp_path / name, stages)
        else:
            stages[name].take(instruction, words)
    final = stages["final"]
    assert final.folder == tmp_path / "final/var/lib/segue"
    assert "worker" in final.run("segue", "--help")
    assert final.run("segue", "settings").count("default") > 30
    programs = {path.name for path in (final.root / "opt/segue/bin").iterdir()}
    assert "segue" in programs
    assert not programs & {"pip", "pip3", "pytest", "ruff"}
    assert re.search(r"^CMD \[\"segue\", \"worker\"\]$", DOCKERFILE, re.MULTILINE)
