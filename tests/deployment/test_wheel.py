"""What an installed Segue puts into site-packages: `segue`, and nothing else."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.deployment.files import ROOT

SOURCES = ["pyproject.toml", "README.md", "LICENSE", "models", "stream", "offline"]


@pytest.mark.skipif(
    not os.environ.get("SEGUE_TEST_DEPLOYMENT"), reason="asks the index: make test-deployment"
)
def test_a_wheel_claims_no_name_but_segue_and_brings_its_data(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", tmp_path, source]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    [wheel] = tmp_path.glob("*.whl")
    files = zipfile.ZipFile(wheel).namelist()
    assert {file.partition("/")[0] for file in files if ".dist-info/" not in file} == {"segue"}
    for layer in ("models", "stream", "offline"):
        sources = {f"segue/{p.relative_to(ROOT)}" for p in (ROOT / layer).rglob("*.py")}
        assert sources <= set(files)
    assert "segue/stream/schemas/play.json" in files
    assert any(file.startswith("segue/offline/ui/page/") for file in files)
