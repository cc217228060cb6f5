"""What pipelines are given: a copy of the source as it is committed, and an environment that installs it without the network."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def tool(name: str) -> Path:
    """A command that the extra `dev` installs."""
    return Path(sys.executable).parent / name


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of every file that git tracks or would track."""
    folder = tmp_path_factory.mktemp("source")
    listed = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


def without_network(home: Path) -> dict[str, str]:
    """Variables with which pip installs the source alone, and what it depends on comes from the environment of the tests."""
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "PIP_NO_DEPS": "1",
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads a false value as "no isolation"
        "PYTHONPATH": sysconfig.get_paths()["purelib"],
        "UNMASK_CACHE": str(home / "cache"),
    }


@pytest.fixture
def offline(tmp_path: Path) -> dict[str, str]:
    """`without_network` in a home of its own."""
    return without_network(tmp_path)
