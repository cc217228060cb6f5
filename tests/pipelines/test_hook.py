"""The pre-commit hook: which files call it, and what it makes of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner, Result

from scanner.cli import main
from scanner.demo.base import shipped
from tests.adapters import documented
from tests.pipelines.conftest import ROOT, tool

HOOK: dict[str, Any] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())[0]


def test_pre_commit_accepts_the_manifest() -> None:
    subprocess.run([tool("pre-commit"), "validate-manifest", ROOT / ".pre-commit-hooks.yaml"], check=True, capture_output=True)


def test_a_commit_that_touches_any_file_calls_it() -> None:
    assert not {"files", "exclude", "types", "types_or", "exclude_types", "always_run"} & HOOK.keys()
    assert HOOK["require_serial"]


def hook(*files: Path | str, env: dict[str, str] | None = None) -> Result:
    command, *rest = HOOK["entry"].split()
    assert command == "unmask"
    return CliRunner().invoke(main, [*rest, *map(str, files)], env=env)


def test_each_adapter_is_scanned_once_and_the_worst_decides(tmp_path: Path) -> None:
    good = documented(tmp_path / "good")
    told = hook(good / "adapter_config.json", good / "adapter_model.safetensors")
    assert told.exit_code == 0, told.output
    assert told.stdout.count("\n") == 1
    assert told.stdout.startswith("PASS")
    told = hook(good / "adapter_config.json", shipped("tampered") / "adapter_model.safetensors")
    assert told.exit_code == 1
    assert {line.split()[0] for line in told.stdout.splitlines()} == {"PASS", "BLOCK"}


def test_a_file_that_joins_an_adapter_has_it_scanned_from_however_deep(tmp_path: Path) -> None:
    good = documented(tmp_path / "good")
    (good / "checkpoint" / "last").mkdir(parents=True)
    shutil.copy(shipped("tampered") / "optimizer.pt", good / "checkpoint" / "last" / "state.bin")
    told = hook(good / "checkpoint" / "last" / "state.bin")
    assert told.exit_code == 1
    assert told.stdout.startswith(f"BLOCK  {good}: ")
    assert hook(tmp_path / "other.py").output == ""


def test_what_cannot_be_read_is_told_and_the_others_are_scanned(tmp_path: Path) -> None:
    good, bad = documented(tmp_path / "good"), documented(tmp_path / "bad")
    (bad / "adapter_model.safetensors").write_bytes(b"short")
    told = hook(bad / "adapter_config.json", good / "adapter_config.json")
    assert told.exit_code == 2
    assert told.stdout.startswith("PASS")
    assert told.stderr.startswith("unmask: ")


def test_a_folder_that_holds_no_adapter_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_text("x")
    told = hook(tmp_path / "chat_template.jinja")
    assert (told.exit_code, told.output) == (0, "")


def test_the_policy_is_the_environments_where_the_hook_names_none(tmp_path: Path) -> None:
    good = documented(tmp_path / "good")
    assert hook(good / "adapter_config.json", env={"UNMASK_POLICY": "ci"}).exit_code == 2
    assert hook("--policy", "default", good / "adapter_config.json", env={"UNMASK_POLICY": "ci"}).exit_code == 0
