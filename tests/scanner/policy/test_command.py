"""`unmask policy check`, and what outranks what: option, environment, policy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from scanner.cli import main
from tests.adapters import adapter, documented
from tests.scanner.policy.test_file import EVERY_KEY
from tests.scanner.policy.test_judgement import waiver


def run(*arguments: object, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], env=env)


def policy(folder: Path, text: str) -> Path:
    (folder / "p.toml").write_text(f'name = "test"\n{text}')
    return folder / "p.toml"


@pytest.mark.parametrize("name", ["default", "ci", "platform", "audit"])
def test_the_shipped_policies_are_explained_in_words(name: str) -> None:
    told = run("policy", "check", name)
    assert told.exit_code == 0
    assert f"Policy {name}" in told.stdout
    assert "statistics and documentation never block" in told.stdout


def test_every_key_is_explained(tmp_path: Path) -> None:
    from tests.reports.sample import full

    (tmp_path / "release.pub").write_text("a key")
    from scanner import result as results

    results.write(full(), tmp_path / "accepted.json")
    (tmp_path / "p.toml").write_text(EVERY_KEY)
    told = run("policy", "check", tmp_path / "p.toml")
    assert told.exit_code == 0, told.stderr
    for part in (
        "on top of ci, default", "low ask for a review", "card-missing counts as medium", "where there is a base: refusal", "7.5 points", "40% of the held-out",
        "refusal.harmful.adapted must be at least 0.6", "its block is a review", "spectrum.relative must be at most 2", "org/base", "Apache-2.0",
        "signed by release.pub", "no worse than accepted.json", "template-changed in chat_template.jinja", "sam@example.org", "holds until 2031-02-28",
        "profile deep", "reports json",
    ):  # fmt: skip
        assert part in told.stdout, part


def test_an_expired_waiver_is_told_by_words_and_by_exit_code(tmp_path: Path) -> None:
    told = run("policy", "check", policy(tmp_path, waiver("2020-01-01")))
    assert told.exit_code == 1
    assert "EXPIRED on 2020-01-01" in told.stdout


@pytest.mark.parametrize("text", ["colour = 1", '[severity]\nno-such = "high"', '[require]\nfiles = ["no-such"]', '[[baseline]]\nresult = "none.json"'])
def test_a_policy_that_is_not_valid_exits_2_in_one_line(text: str, tmp_path: Path) -> None:
    told = run("policy", "check", policy(tmp_path, text))
    assert (told.exit_code, told.stdout) == (2, "")
    assert told.stderr.count("\n") == 1


def scanned(folder: Path, *arguments: object, env: dict[str, str] | None = None) -> dict[str, Any]:
    told = run("scan", folder, "--output", folder.parent / "out", "--format", "json", *arguments, env=env)
    assert told.exit_code in (0, 1), told.stderr
    found: dict[str, Any] = json.loads((folder.parent / "out" / "result.json").read_text())
    return found


def test_an_option_outranks_the_environment_which_outranks_the_policy(tmp_path: Path) -> None:
    folder = documented(tmp_path / "a")
    mine = policy(tmp_path, '[scan]\nprofile = "deep"')
    env = {"UNMASK_POLICY": str(mine), "UNMASK_PROFILE": "quick"}
    assert scanned(folder)["profile"] == "standard"
    assert scanned(folder, "--policy", mine)["profile"] == "deep"
    assert scanned(folder, env={"UNMASK_POLICY": str(mine)})["profile"] == "deep"
    assert scanned(folder, env=env)["profile"] == "quick"
    assert scanned(folder, "--profile", "standard", env=env)["profile"] == "standard"
    assert scanned(folder, "--policy", "platform", env=env)["verdict"]["policy"] == "platform"


def test_what_fails_a_pipeline_comes_from_option_environment_or_policy(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a", base_model_name_or_path="org/tiny")
    (folder / "run.py").write_text("print()\n")
    strict = policy(tmp_path, '[outcome]\nlow = "review"\n[scan]\nfail_on = "review"')
    common = ("scan", folder, "--output", tmp_path / "out", "--policy", strict)
    assert run(*common).exit_code == 1
    assert run(*common, env={"UNMASK_FAIL_ON": "block"}).exit_code == 0
    assert run(*common, "--fail-on", "review", env={"UNMASK_FAIL_ON": "block"}).exit_code == 1


def test_reports_are_those_of_option_environment_or_policy(tmp_path: Path) -> None:
    folder = documented(tmp_path / "a")
    mine = policy(tmp_path, '[scan]\nformat = ["sarif"]')

    def made(*arguments: object, env: dict[str, str] | None = None) -> set[str]:
        out = tmp_path / "made"
        for old in out.glob("*"):
            old.unlink()
        told = run("scan", folder, "--output", out, *arguments, env=env)
        assert told.exit_code == 0, told.stderr
        return {p.name for p in out.iterdir()}

    assert made() == {"report.html", "result.json"}
    assert made("--policy", mine) == {"unmask.sarif"}
    assert made("--policy", mine, env={"UNMASK_FORMAT": "json"}) == {"result.json"}
    assert made("--policy", mine, "--format", "junit", env={"UNMASK_FORMAT": "json"}) == {"junit.xml"}


def test_a_format_the_policy_asks_for_and_nobody_installed_is_refused(tmp_path: Path) -> None:
    told = run("scan", documented(tmp_path / "a"), "--policy", policy(tmp_path, '[scan]\nformat = ["pdf"]'))
    assert told.exit_code == 2
    assert "pdf" in told.stderr
