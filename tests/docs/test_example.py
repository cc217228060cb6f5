"""The example package: installed as a stranger would, its probe runs and its report is written."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapters import adapter, base
from tests.pipelines.conftest import without_network

EXAMPLE = Path(__file__).parents[2] / "examples" / "unmask-extra"
CODE = "from scanner.cli import main; main()"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(EXAMPLE, folder / "source")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--target", folder / "installed", folder / "source"],
        env=without_network(folder), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "installed"


def unmask(installed: Path, cwd: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run([sys.executable, "-c", CODE, *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_its_rule_is_listed_and_explained(installed: Path, tmp_path: Path) -> None:
    told = unmask(installed, tmp_path, "rules", "adapter-oversized")
    assert told.returncode == 0, told.stderr
    assert "a fifth of the base's" in told.stdout


def test_its_probe_runs_and_its_report_is_written(installed: Path, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "=optimizer.pt").write_bytes(b"cos\nsystem\n(S'id'\ntR.")  # the files decide, so that no model is needed
    told = unmask(installed, tmp_path, "scan", folder, "--base", base(tmp_path / "b"), "--profile", "quick", "--format", "csv,json")
    assert told.returncode == 1, told.stderr
    rows = list(csv.DictReader((tmp_path / "unmask-report" / "findings.csv").open()))
    assert {"adapter-oversized", "pickle-code"} <= {r["rule"] for r in rows}
    assert "'=optimizer.pt" in {r["file"] for r in rows}


def test_both_are_as_short_as_the_page_says() -> None:
    for name in ("oversized.py", "table.py"):
        text = (EXAMPLE / "unmask_extra" / name).read_text()
        lines = text[text.index("\nclass ") :].strip().splitlines()
        assert len([line for line in lines if line.strip()]) <= 20, name
