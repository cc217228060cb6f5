"""What a terminal shows, loud and quiet, with colours and without."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from scanner.cli import main
from scanner.demo.base import shipped
from scanner.finding import Waiver
from scanner.measurement import Coverage, Status
from scanner.result import dumps, load
from scanner.verdict import Outcome, Reason
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


def with_gaps(folder: Path, *gaps: tuple[str, str, Status]) -> Path:
    """A stored result of a scan without a base in which these, by probe, reason and status, were not measured."""
    result = static()
    measured = tuple(c for c in result.coverage if c.status is Status.MEASURED)
    more = tuple(Coverage(probe=probe, what=f"all about {probe}", status=status, why=why) for probe, why, status in gaps)
    (folder / "r.json").write_bytes(dumps(msgspec.structs.replace(result, coverage=(*measured, *more))))
    return folder / "r.json"


NO_BASE, UNASKED = "no base was given", Status.NOT_MEASURED
MANY = (
    ("known", "no list", UNASKED), ("refusal", NO_BASE, UNASKED), ("signature", "no key", UNASKED), ("trigger", NO_BASE, UNASKED), ("sameness", "none", UNASKED),
)  # fmt: skip


def gaps(told: str) -> list[str]:
    return [line.strip() for line in told.splitlines() if line.startswith(("  not measured", "  failed"))]


def test_a_few_gaps_are_told_with_their_causes(tmp_path: Path) -> None:
    told = show(with_gaps(tmp_path, *MANY[:2], MANY[3])).stdout
    assert gaps(told) == ["not measured: refusal, trigger: no base was given", "not measured: known: no list"]


def test_many_gaps_are_two_lines_and_all_of_them_with_verbose(tmp_path: Path) -> None:
    path = with_gaps(tmp_path, *MANY)
    assert gaps(show(path).stdout) == [
        "not measured: refusal, trigger: no base was given",
        "not measured either: known, signature, sameness (why: see the report, or use --verbose)",
    ]
    loud = gaps(show(path, "-v").stdout)
    assert len(loud) == 4
    assert "not measured: signature (all about signature): no key" in loud


def test_gaps_of_as_many_causes_are_one_line(tmp_path: Path) -> None:
    told = show(with_gaps(tmp_path, MANY[0], MANY[2], MANY[4])).stdout
    assert gaps(told) == ["not measured: known, signature, sameness (why: see the report, or use --verbose)"]


def test_what_failed_is_always_told_first_and_in_full(tmp_path: Path) -> None:
    told = show(with_gaps(tmp_path, *MANY, ("canary", "out of memory", Status.FAILED))).stdout
    assert gaps(told)[0] == "failed: canary: out of memory"
    assert len(gaps(told)) == 3


def test_what_made_the_verdict_incomplete_is_said_once(tmp_path: Path) -> None:
    path = with_gaps(tmp_path, ("spectrum", "too many modules", UNASKED), ("known", "no list", UNASKED))
    result = load(path)
    reason = Reason(outcome=Outcome.INCOMPLETE, text="spectrum could not be measured. all: too many modules", probe="spectrum")
    path.write_bytes(dumps(msgspec.structs.replace(result, verdict=msgspec.structs.replace(result.verdict, headline=reason.text, reasons=(reason,)))))
    assert show(path).stdout.count("too many modules") == 1
    assert gaps(show(path).stdout) == ["not measured: known: no list"]


def test_a_pass_says_that_it_has_limits(tmp_path: Path) -> None:
    path = with_gaps(tmp_path)
    assert "could have missed" not in show(path).stdout
    bounded = tuple(msgspec.structs.replace(c, bound="what hides") for c in load(path).coverage)
    passed = msgspec.structs.replace(load(path).verdict, outcome=Outcome.PASS, reasons=())
    path.write_bytes(dumps(msgspec.structs.replace(load(path), coverage=bounded, verdict=passed)))
    assert f"could have missed: {len(bounded)} limits" in show(path).stdout


def test_the_reports_take_two_lines_and_the_page_comes_first(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["scan", str(shipped("benign")), "--format", "json,sarif,html", "--output", str(tmp_path / "out")])
    assert done.stdout.endswith(f"  report: {tmp_path / 'out' / 'report.html'}\n  beside it: result.json, unmask.sarif\n")


def on_a_terminal(columns: int, *arguments: str) -> str:
    """What the command prints to a terminal of that width."""
    mine, theirs = os.openpty()
    command = [sys.executable, "-c", "from scanner.cli import main; main()", *arguments]
    with subprocess.Popen(command, stdout=theirs, env={**os.environ, "COLUMNS": str(columns), "NO_COLOR": ""}) as running:
        os.close(theirs)
        said = b""
        with contextlib.suppress(OSError):  # raised when the other side is closed and nothing is left
            while chunk := os.read(mine, 65536):
                said += chunk
    os.close(mine)
    assert running.returncode == 1
    return said.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("option", ["--fail-on=block", "--verbose"])
def test_lines_are_broken_between_words_on_a_narrow_terminal_alone(option: str, stored: Path) -> None:
    plain = show(stored, option).stdout
    shown = on_a_terminal(60, "show", str(stored), option)
    bare = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert bare != shown
    assert bare.split() == plain.split()
    assert all(len(line) <= 60 or " " not in line.strip() for line in bare.splitlines() if str(stored) not in line)
    assert max(len(line) for line in plain.splitlines()) > 60
    assert on_a_terminal(60, "show", str(stored), "--quiet").count("\n") == 1


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
