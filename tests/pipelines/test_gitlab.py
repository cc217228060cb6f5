"""The GitLab template: its form, and its script run as a runner would."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from scanner.demo.base import shipped
from tests.pipelines.conftest import ROOT, tool

TEMPLATE = ROOT / "unmask.gitlab-ci.yml"
JOB: dict[str, Any] = yaml.safe_load(TEMPLATE.read_text())["unmask"]


def test_it_fits_gitlabs_schema() -> None:
    subprocess.run([tool("check-jsonschema"), "--builtin-schema", "vendor.gitlab-ci", TEMPLATE], check=True, capture_output=True)


def ran(workspace: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    script = "set -eo pipefail\n" + "\n".join(JOB["script"])
    return subprocess.run(
        ["bash", "-c", script], cwd=workspace, env={**JOB["variables"], **environment}, capture_output=True, text=True, check=False
    )  # fmt: skip


def test_its_script_installs_scans_and_leaves_the_reports(tmp_path: Path, source: Path, offline: dict[str, str]) -> None:
    workspace = tmp_path / "workspace"
    shutil.copytree(shipped("tampered"), workspace / "adapters" / "one")
    done = ran(workspace, {**offline, "ADAPTER": "adapters/one", "UNMASK_PACKAGE": str(source), "UNMASK_POLICY": "default"})
    assert done.returncode == 1, done.stderr
    for kept in (*JOB["artifacts"]["paths"], JOB["artifacts"]["reports"]["junit"]):
        assert (workspace / kept.replace("$UNMASK_OUTPUT", JOB["variables"]["UNMASK_OUTPUT"])).exists()


def test_without_an_adapter_it_says_what_to_set(tmp_path: Path, offline: dict[str, str]) -> None:
    done = ran(tmp_path, offline)
    assert done.returncode == 2
    assert "ADAPTER" in done.stdout
