"""The Dockerfiles, as far as they can be looked at without a Docker engine: lint, what they copy, what they run."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.pipelines.conftest import ROOT, tool

IMAGES = ("Dockerfile", "Dockerfile.cuda")


@pytest.mark.parametrize("name", IMAGES)
def test_hadolint_finds_nothing(name: str) -> None:
    done = subprocess.run([tool("hadolint"), ROOT / name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", IMAGES)
def test_what_it_copies_is_there_and_reaches_the_build(name: str) -> None:
    copied = [word for line in re.findall(r"^COPY (?!--)(.*)$", (ROOT / name).read_text(), re.M) for word in line.split()[:-1]]
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) == let_in
    assert all((ROOT / c).exists() for c in copied)
    packages = {p.rstrip("*") for p in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert packages <= set(copied)


@pytest.mark.parametrize("name", IMAGES)
def test_it_installs_extras_that_exist_runs_as_nobody_and_starts_unmask(name: str) -> None:
    text = (ROOT / name).read_text()
    extras = re.search(r'"\.\[([\w,]+)\]"', text)
    assert extras
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras[1].split(",")) <= set(declared)
    assert re.findall(r"^USER (.*)$", text, re.M) == ["10001"]
    assert 'ENTRYPOINT ["unmask"]' in text


def test_the_same_folder_builds_a_package_with_everything_it_needs(source: Path, offline: dict[str, str], tmp_path: Path) -> None:
    image = tmp_path / "image"
    subprocess.run([tool("python"), "-m", "pip", "install", "--quiet", "--target", image, source], env=offline, check=True, capture_output=True)
    wanted = {"toml", "jsonl", "txt", "jinja", "css", "safetensors", "pt", "md"}
    tracked = {p.relative_to(source) for top in ("scanner", "probes", "reports") for p in (source / top).rglob("*") if p.suffix[1:] in wanted | {"py", "json"}}
    assert {p for p in tracked if not (image / p).is_file()} == set()
