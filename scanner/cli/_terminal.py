"""What most people see of a result: the verdict, what decided it, what was not measured, and where the reports are.

Every word stands without its colour. Colours are left out where standard output is no terminal and where NO_COLOR is set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import click

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
LINE = 240


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
    """Print the result, and the paths of its reports, to standard output."""
    verdict = result.verdict
    click.echo(f"{_word(verdict.outcome)}  {printable(verdict.headline, 300)}")
    if loudness is Loudness.QUIET:
        return
    lines = _everything(result) if loudness is Loudness.VERBOSE else _deciding(result)
    for line in (*lines, *_gaps(result, loudness)):
        click.echo(f"  {line}")
    for path in written:
        click.echo(f"  report: {path}")
    if any(f.witness for f in result.findings):
        result_file = next((p for p in written if p.name == "result.json"), None)
        click.echo(f"  run the witness again: unmask replay {result_file or 'RESULT'}")


def _word(outcome: Outcome) -> str:
    return click.style(outcome.upper(), fg=_COLOUR[outcome], bold=True)


def _deciding(result: Result) -> Iterator[str]:
    reasons = result.verdict.reasons
    for reason in reasons[1 : SHOWN + 1] if len(reasons) > 1 else ():
        yield f"{click.style(reason.outcome, fg=_COLOUR[reason.outcome])}: {_reason(reason, result)}"
    if len(reasons) > SHOWN + 1:
        yield f"and {len(reasons) - SHOWN - 1} more: see the report, or use --verbose"
    waived = sum(f.waiver is not None for f in result.findings)
    if waived:
        yield f"{waived} waived by the policy"


def _reason(reason: Reason, result: Result) -> str:
    rule = f" [{result.findings[reason.finding].rule}]" if reason.finding is not None else ""
    return printable(reason.text, LINE) + rule


def _everything(result: Result) -> Iterator[str]:
    outcomes = {r.finding: r.outcome for r in result.verdict.reasons if r.finding is not None}
    for reason in result.verdict.reasons:
        if reason.finding is None:
            yield f"{click.style(reason.outcome, fg=_COLOUR[reason.outcome])}: {_reason(reason, result)}"
    for index, finding in enumerate(result.findings):
        yield from _finding(result, index, finding, outcomes.get(index, Outcome.PASS))
    for part in result.coverage:
        if part.status is Status.MEASURED:
            yield f"measured: {_part(part)}: {printable(part.surface or '-', LINE)}"
            if part.bound:
                yield f"  could have missed: {printable(part.bound, LINE)}"
    for measured in result.measurements:
        yield _measurement(measured)


def _finding(result: Result, index: int, finding: Finding, outcome: Outcome) -> Iterator[str]:
    rule = result.rule(finding.rule)
    yield (
        f"{index}. {click.style(finding.severity, fg=_SEVERITY[finding.severity])} [{rule.id}, {rule.basis}] -> {outcome}: {printable(rule.title, LINE)}: "
        f"{printable(finding.message, LINE)}"
    )
    where = " ".join(printable(p, LINE) for p in (finding.location.file, finding.location.item) if p)
    if where:
        yield f"   in {where}"
    for detail in finding.details:
        yield f"   {printable(detail, LINE)}"
    if finding.waiver:
        yield f"   waived until {printable(finding.waiver.expires, 20)} by {printable(finding.waiver.owner, 80)}: {printable(finding.waiver.reason, LINE)}"
    if finding.witness:
        test = finding.witness.test
        yield f"   witness: {test.before} of {test.n} before, {test.after} after, p = {test.p_value:.2g}; 95 % interval {test.low:+.3f} to {test.high:+.3f}"
    yield f"   fix: {printable(rule.fix, 2 * LINE)}"


def _measurement(measured: Measurement) -> str:
    value = printable(f"{measured.value:.4g}" if isinstance(measured.value, float) else measured.value, 120)
    extent = f" ({measured.low:.4g} to {measured.high:.4g})" if measured.low is not None and measured.high is not None else ""
    more = [f"n = {measured.n}"] if measured.n is not None else []
    more += [f"p = {measured.p_value:.2g}"] if measured.p_value is not None else []
    unit = f" {printable(measured.unit, 40)}" if measured.unit else ""
    return f"{printable(measured.title, 120)}: {value}{unit}{extent}{', ' if more else ''}{', '.join(more)} [{printable(measured.id, 80)}]"


def _gaps(result: Result, loudness: Loudness) -> Iterator[str]:
    """What was not measured, one line for each cause."""
    causes: dict[tuple[Status, str], list[str]] = {}
    for part in result.coverage:
        if part.status is not Status.MEASURED:
            names = causes.setdefault((part.status, part.why), [])
            names.append(_part(part) if loudness is Loudness.VERBOSE else printable(part.probe, 80))
    for (status, why), names in causes.items():
        shown = click.style(status, fg="magenta" if status is Status.FAILED else "yellow")
        yield f"{shown}: {', '.join(dict.fromkeys(names))}: {printable(why, LINE)}"


def _part(part: Coverage) -> str:
    return f"{printable(part.probe, 80)} ({printable(part.what, LINE)})"
