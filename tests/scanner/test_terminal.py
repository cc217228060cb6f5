"""What a terminal shows, loud and quiet, with colours and without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from scanner.cli import main
from scanner.finding import Waiver
from scanner.result import dumps
from scanner.verdict import Outcome
from tests.reports.hostile import hostile
from tests.reports.sample import full, static


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    (tmp_path / "result.json").write_bytes(dumps(full()))
    return tmp_path / "result.json"


def show(path: Path, *options: str, **more: bool) -> Result:
    return CliRunner().invoke(main, ["show", str(path), *options], **more)  # type: ignore[arg-type]


def test_the_verdict_comes_first_then_what_decided_then_where_the_report_is(stored: Path) -> None:
    lines = show(stored).stdout.splitlines()
    assert lines[0].startswith("BLOCK  A hidden trigger switches refusals off")
    assert any("refusals of harmful requests were lost" in line and "[refusal-loss]" in line for line in lines[1:4])
    assert f"  report: {stored}" in lines
    assert lines[-1] == f"  run the witness again: unmask replay {stored}"


def test_quiet_is_one_line_and_verbose_is_everything(stored: Path) -> None:
    quiet, loud = show(stored, "--quiet"), show(stored, "--verbose")
    assert quiet.stdout.count("\n") == 1
    result = full()
    for part in (*(f.message for f in result.findings), *(m.id for m in result.measurements), *(c.what for c in result.coverage), "p = 7.5e-09"):
        assert part in loud.stdout
    assert quiet.exit_code == loud.exit_code == 1
    both = show(stored, "-q", "-v")
    assert (both.exit_code, both.stdout, both.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(("outcome", "ordinary", "strict"), [("pass", 0, 0), ("review", 0, 1), ("block", 1, 1), ("incomplete", 2, 2)])
def test_exit_codes_are_those_of_the_scan(outcome: str, ordinary: int, strict: int, stored: Path) -> None:
    changed = msgspec.structs.replace(full(), verdict=msgspec.structs.replace(full().verdict, outcome=Outcome(outcome)))
    stored.write_bytes(dumps(changed))
    assert show(stored).exit_code == ordinary
    assert show(stored, "--fail-on", "review").exit_code == strict


def test_colours_only_where_they_are_wanted_and_never_needed(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    plain = show(stored, "-v").stdout
    assert "\x1b" not in plain
    coloured = show(stored, "-v", color=True).stdout
    assert "\x1b[" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert show(stored, "-v", color=True).stdout == plain


def test_gaps_are_told_by_cause(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_bytes(dumps(static()))
    assert "  not measured: refusal, trigger: no base was given\n" in show(tmp_path / "r.json").stdout


def test_waived_findings_are_counted_and_named(stored: Path) -> None:
    first, *rest = full().findings
    waived = msgspec.structs.replace(first, waiver=Waiver(reason="known", owner="ann", expires="2030-01-31"))
    stored.write_bytes(dumps(full(found=(waived, *rest))))
    assert "1 waived by the policy" in show(stored).stdout
    assert "waived until 2030-01-31 by ann: known" in show(stored, "-v").stdout


@pytest.mark.parametrize("option", ["--quiet", "--verbose", "--fail-on=block"])
def test_hostile_text_cannot_move_the_cursor_or_add_a_line(option: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_bytes(dumps(hostile()))
    told = show(tmp_path / "r.json", option)
    assert told.exit_code == 1
    assert not any(c in told.stdout for c in "\x1b\x00\u202e\u200b\ufffe\u2028\r")
    assert all(line.startswith(("BLOCK", "  ")) for line in told.stdout.splitlines())


def test_a_terminal_that_lacks_a_character_gets_an_escape(stored: Path) -> None:
    command = [sys.executable, "-c", "from scanner.cli import main; main()", "show", "-v", str(stored)]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "latin-1"}, check=False)
    assert (done.returncode, done.stderr) == (1, b"")
    assert b"\\u2016" in done.stdout
