"""action.yml: its form, its shell, and its steps run one after another as GitHub would."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from scanner.demo.base import shipped
from tests.pipelines.conftest import ROOT, tool, without_network

ACTION = ROOT / "action.yml"
READ: dict[str, Any] = yaml.safe_load(ACTION.read_text())
STEPS: list[dict[str, Any]] = READ["runs"]["steps"]


def test_it_fits_githubs_schema() -> None:
    subprocess.run([tool("check-jsonschema"), "--builtin-schema", "vendor.github-actions", ACTION], check=True, capture_output=True)


def test_an_audit_of_actions_finds_nothing() -> None:
    done = subprocess.run([tool("zizmor"), "--offline", "--no-progress", "--persona", "pedantic", ACTION], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("step", [s for s in STEPS if "run" in s], ids=lambda s: s["name"])
def test_its_shell_is_clean_and_no_input_is_pasted_into_it(step: dict[str, Any]) -> None:
    assert "${{" not in step["run"]
    done = subprocess.run([tool("shellcheck"), "--shell=bash", "--severity=style", "-"], input=step["run"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_foreign_action_is_pinned_to_a_commit() -> None:
    used = [s["uses"] for s in STEPS if "uses" in s]
    assert used
    assert all(re.fullmatch(r"[\w-]+/[\w/-]+@[0-9a-f]{40}", u) for u in used)


class Job:
    """Steps of the action in a workspace, with its inputs and what earlier steps put out."""

    def __init__(self, folder: Path, source: Path, environment: dict[str, str], **inputs: str) -> None:
        self.workspace, self.temp = folder / "workspace", folder / "temp"
        self.workspace.mkdir()
        self.temp.mkdir()
        self.summary, self.output = self.temp / "summary.md", self.temp / "output"
        self.summary.touch()
        self.environment = environment
        self.known = {f"inputs.{k}": v.get("default", "") for k, v in READ["inputs"].items()}
        self.known |= {f"inputs.{k.replace('_', '-')}": v for k, v in inputs.items()}
        self.known |= {"github.action_path": str(source), "runner.temp": str(self.temp)}

    def filled(self, text: str) -> str:
        """`text` with its expressions replaced; an unknown one is an error."""
        return re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda m: self.known[m[1]], text)

    def run(self, name: str) -> subprocess.CompletedProcess[str]:
        """The step `name`, as GitHub runs it: bash, ending at the first error."""
        step = next(s for s in STEPS if s.get("name") == name)
        self.output.write_text("")
        more = {k: self.filled(v) for k, v in step.get("env", {}).items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]], cwd=self.workspace, capture_output=True, text=True, check=False,
            env={**self.environment, "GITHUB_OUTPUT": str(self.output), "GITHUB_STEP_SUMMARY": str(self.summary), **more},
        )  # fmt: skip
        for line in self.output.read_text().splitlines():
            key, _, value = line.partition("=")
            self.known[f"steps.{step.get('id', '')}.outputs.{key}"] = value
        return done


@pytest.fixture(scope="module")
def installed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the install step leaves behind."""
    folder = tmp_path_factory.mktemp("installed")
    job = Job(folder, source, without_network(folder), adapter="x", extra="")
    done = job.run("Install unmask")
    assert done.returncode == 0, done.stderr
    return job.temp / "unmask"


def job(folder: Path, source: Path, installed: Path, offline: dict[str, str], **inputs: str) -> Job:
    made = Job(folder, source, offline, **inputs)
    (made.temp / "unmask").symlink_to(installed)
    return made


@pytest.mark.parametrize(
    ("name", "policy", "code", "outcome"),
    [("benign", "default", "0", "pass"), ("benign", "ci", "2", "incomplete"), ("tampered", "default", "1", "block")],
)
def test_a_scan_fails_the_job_exactly_when_the_policy_says(
    name: str, policy: str, code: str, outcome: str, tmp_path: Path, source: Path, installed: Path, offline: dict[str, str]
) -> None:
    running = job(tmp_path, source, installed, offline, adapter="my adapter", policy=policy)
    shutil.copytree(shipped(name), running.workspace / "my adapter")
    done = running.run("Scan")
    assert done.returncode == 0, done.stderr
    assert (running.known["steps.scan.outputs.exit-code"], running.known["steps.scan.outputs.outcome"]) == (code, outcome)
    assert f"unmask: {outcome.upper()}" in running.summary.read_text()
    assert {p.name for p in (running.workspace / "unmask-report").iterdir()} == {"report.html", "result.json", "unmask.sarif", "junit.xml", "report.md"}
    assert running.run("Verdict").returncode == int(code)


def test_what_cannot_be_scanned_fails_the_job_and_is_told(tmp_path: Path, source: Path, installed: Path, offline: dict[str, str]) -> None:
    running = job(tmp_path, source, installed, offline, adapter="--help", policy="default")
    assert running.run("Scan").returncode == 0
    assert running.known["steps.scan.outputs.exit-code"] == "2"
    assert "steps.scan.outputs.outcome" not in running.known
    assert "could not be done" in running.summary.read_text()
    assert running.run("Verdict").returncode == 2


def test_inputs_reach_the_scan_as_text_and_nothing_else(tmp_path: Path, source: Path, installed: Path, offline: dict[str, str]) -> None:
    running = job(tmp_path, source, installed, offline, adapter="$(touch pwned); `touch pwned`", policy="default", fail_on="block", profile="quick")
    assert running.run("Scan").returncode == 0
    assert running.known["steps.scan.outputs.exit-code"] == "2"
    assert not (running.workspace / "pwned").exists()
