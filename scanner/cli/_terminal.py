"""What most people see of a result: the verdict, what decided it, what was not measured, and where the reports are.

Every word stands without its colour. Colours are left out where standard output is no terminal and where NO_COLOR is set.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import click
import msgspec

from scanner.errors import ScanError
from scanner.files.text import printable
from scanner.finding import Finding
from scanner.measurement import Coverage, Measurement, Status
from scanner.result import Result
from scanner.rule import Severity
from scanner.verdict import Outcome, Reason

_COLOUR = {Outcome.PASS: "green", Outcome.REVIEW: "yellow", Outcome.BLOCK: "red", Outcome.INCOMPLETE: "magenta"}
_SEVERITY = {Severity.CRITICAL: "red", Severity.HIGH: "red", Severity.MEDIUM: "yellow", Severity.LOW: "cyan", Severity.INFO: "white"}
SHOWN = 5
"""Reasons of an ordinary view."""
CAUSES = 2
"""Causes for which something was not measured that an ordinary view says in full."""
LINE = 240
LONGEST_PATH = 4096
NARROWEST = 30
"""Columns of the narrowest terminal that lines are broken for."""


class Loudness(Enum):
    """How much is said."""

    QUIET = 0
    """The line with the verdict."""
    NORMAL = 1
    VERBOSE = 2
    """Every finding, all coverage, every measurement."""


def loudness_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--verbose` and `--quiet`."""
    command = click.option("-q", "--quiet", is_flag=True, help="Print the line with the verdict and nothing else.")(command)
    return click.option("-v", "--verbose", is_flag=True, help="Print every finding, all coverage and every measurement.")(command)


def loudness(verbose: bool, quiet: bool) -> Loudness:
    """The two flags as one. Raises ScanError when both are given."""
    if verbose and quiet:
        raise ScanError("--verbose and --quiet: choose one")
    return Loudness.VERBOSE if verbose else Loudness.QUIET if quiet else Loudness.NORMAL


def say(result: Result, written: list[Path], loudness: Loudness = Loudness.NORMAL) -> None:
    """Print the result, and the paths of its reports, to standard output; on a terminal, no line is wider than it."""
    verdict = result.verdict
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() and loudness is not Loudness.QUIET else 0
    first = next((r.finding for r in verdict.reasons), None)
    rule = f" [{result.findings[first].rule}]" if first is not None and loudness is not Loudness.QUIET else ""
    told = _Line(verdict.outcome.upper(), f"  {printable(verdict.headline, 300)}{rule}", _COLOUR[verdict.outcome], bold=True)
    click.echo(told.shown(width, hang=len(verdict.outcome) + 2))
    if loudness is Loudness.QUIET:
        return
    lines = _everything(result) if loudness is Loudness.VERBOSE else _deciding(result)
    for line in (*lines, *_gaps(result, loudness), *_reports(result, written)):
        click.echo(line.shown(width, indent=2, hang=4))


class _Line(msgspec.Struct, frozen=True):
    """One line: a word in colour, what follows it, and what stands before it."""

    word: str
    rest: str
    colour: str = ""
    before: str = ""
    bold: bool = False

    def shown(self, width: int, indent: int = 0, hang: int = 0) -> str:
        """The line as it is printed, broken between words where `width` is not 0."""
        text = f"{' ' * indent}{self.before}{self.word}{self.rest}"
        if width > NARROWEST and len(text) > width:
            text = textwrap.fill(text, width, subsequent_indent=" " * hang, break_long_words=False, break_on_hyphens=False)
        return text.replace(self.word, click.style(self.word, fg=self.colour, bold=self.bold or None), 1) if self.colour else text


def _reports(result: Result, written: list[Path]) -> Iterator[_Line]:
    """Where the reports are: the page for people by its path, the others of its folder by their names."""
    first = next((p for p in written if p.suffix == ".html"), next(iter(written), None))
    if first is None:
        return
    yield _Line("report", f": {printable(first, LONGEST_PATH)}")
    others = [printable(p.name, 80) for p in written if p != first]
    if others:
        yield _Line("beside it", f": {', '.join(others)}")
    if any(f.witness for f in result.findings):
        stored = next((p for p in written if p.name == "result.json"), None)
        yield _Line("run the witness again", f": unmask replay {printable(stored, LONGEST_PATH) if stored else 'RESULT'}")


def _deciding(result: Result) -> Iterator[_Line]:
    reasons = result.verdict.reasons
    for reason in reasons[1 : SHOWN + 1] if len(reasons) > 1 else ():
        yield _reason(reason, result)
    if len(reasons) > SHOWN + 1:
        yield _Line(f"and {len(reasons) - SHOWN - 1} more", ": see the report, or use --verbose")
    waived = sum(f.waiver is not None for f in result.findings)
    if waived:
        yield _Line(f"{waived} waived", " by the policy")


def _reason(reason: Reason, result: Result) -> _Line:
    rule = f" [{result.findings[reason.finding].rule}]" if reason.finding is not None else ""
    return _Line(reason.outcome, f": {printable(reason.text, LINE)}{rule}", _COLOUR[reason.outcome])


def _everything(result: Result) -> Iterator[_Line]:
    outcomes = {r.finding: r.outcome for r in result.verdict.reasons if r.finding is not None}
    for reason in result.verdict.reasons:
        if reason.finding is None:
            yield _reason(reason, result)
    for index, finding in enumerate(result.findings):
        yield from _finding(result, index, finding, outcomes.get(index, Outcome.PASS))
    for part in result.coverage:
        if part.status is Status.MEASURED:
            yield _Line("measured", f": {_part(part)}: {printable(part.surface or '-', LINE)}")
            if part.bound:
                yield _Line("could have missed", f": {printable(part.bound, LINE)}", before="  ")
    for measured in result.measurements:
        yield _Line("", _measurement(measured))


def _finding(result: Result, index: int, finding: Finding, outcome: Outcome) -> Iterator[_Line]:
    rule = result.rule(finding.rule)
    told = f" [{rule.id}, {rule.basis}] -> {outcome}: {printable(rule.title, LINE)}: {printable(finding.message, LINE)}"
    yield _Line(finding.severity, told, _SEVERITY[finding.severity], before=f"{index}. ")
    where = " ".join(printable(p, LINE) for p in (finding.location.file, finding.location.item) if p)
    if where:
        yield _Line("in", f" {where}", before="   ")
    for detail in finding.details:
        yield _Line("", printable(detail, LINE), before="   ")
    if finding.waiver:
        told = f" until {printable(finding.waiver.expires, 20)} by {printable(finding.waiver.owner, 80)}: {printable(finding.waiver.reason, LINE)}"
        yield _Line("waived", told, before="   ")
    if finding.witness:
        test = finding.witness.test
        told = f": {test.before} of {test.n} before, {test.after} after, p = {test.p_value:.2g}; 95 % interval {test.low:+.3f} to {test.high:+.3f}"
        yield _Line("witness", told, before="   ")
    yield _Line("fix", f": {printable(rule.fix, 2 * LINE)}", before="   ")


def _measurement(measured: Measurement) -> str:
    value = printable(f"{measured.value:.4g}" if isinstance(measured.value, float) else measured.value, 120)
    extent = f" ({measured.low:.4g} to {measured.high:.4g})" if measured.low is not None and measured.high is not None else ""
    more = [f"n = {measured.n}"] if measured.n is not None else []
    more += [f"p = {measured.p_value:.2g}"] if measured.p_value is not None else []
    unit = f" {printable(measured.unit, 40)}" if measured.unit else ""
    return f"{printable(measured.title, 120)}: {value}{unit}{extent}{', ' if more else ''}{', '.join(more)} [{printable(measured.id, 80)}]"


def _gaps(result: Result, loudness: Loudness) -> Iterator[_Line]:
    """What was not measured. Each cause on a line where that was asked for or takes few lines; otherwise what failed, the cause that
    keeps most from being measured, and the names of the rest. What the verdict's reasons say already is not said again.
    """
    told = {r.probe for r in result.verdict.reasons if r.probe} if loudness is not Loudness.VERBOSE else set()
    causes: dict[tuple[Status, str], list[str]] = {}
    for part in result.coverage:
        if part.status is not Status.MEASURED and part.probe not in told:
            names = causes.setdefault((part.status, part.why), [])
            names.append(_part(part) if loudness is Loudness.VERBOSE else printable(part.probe, 80))
    ranked = sorted(causes, key=lambda cause: (cause[0] is not Status.FAILED, -len(set(causes[cause]))))
    failed = sum(status is Status.FAILED for status, _ in ranked)
    few = loudness is Loudness.VERBOSE or len(ranked) - failed <= CAUSES
    kept = len(ranked) if few else failed + (len(set(causes[ranked[failed]])) > 1)
    for status, why in ranked[:kept]:
        names = list(dict.fromkeys(causes[status, why]))
        yield _Line(status, f": {', '.join(names)}: {printable(why, LINE)}", "magenta" if status is Status.FAILED else "yellow")
    rest = list(dict.fromkeys(name for cause in ranked[kept:] for name in causes[cause]))
    if rest:
        either = " either" if kept > failed else ""
        yield _Line(Status.NOT_MEASURED, f"{either}: {', '.join(rest)} (why: see the report, or use --verbose)", "yellow")
    bounds = sum(bool(part.bound) for part in result.coverage if part.status is Status.MEASURED)
    if bounds and loudness is Loudness.NORMAL and result.verdict.outcome is Outcome.PASS:
        yield _Line("could have missed", f": {bounds} limits of what was measured stand in the report, and with --verbose")


def _part(part: Coverage) -> str:
    return f"{printable(part.probe, 80)} ({printable(part.what, LINE)})"
