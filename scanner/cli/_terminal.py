"""What most people see of a result: the verdict, what decided it, what was not measured, and where the reports are."""

from __future__ import annotations

from pathlib import Path

import click

from scanner.files.text import printable
from scanner.result import Result
from scanner.verdict import Outcome

_STYLE = {Outcome.PASS: "green", Outcome.REVIEW: "yellow", Outcome.BLOCK: "red", Outcome.INCOMPLETE: "magenta"}


def say(result: Result, written: list[Path]) -> None:
    """Print the result, and the paths of its reports, to standard output."""
    verdict = result.verdict
    word = click.style(verdict.outcome.upper(), fg=_STYLE[verdict.outcome], bold=True)
    click.echo(f"{word}  {printable(verdict.headline, 300)}")
    for reason in verdict.reasons[1:5]:
        click.echo(f"  {reason.outcome}: {printable(reason.text, 240)}")
    if len(verdict.reasons) > 5:
        click.echo(f"  and {len(verdict.reasons) - 5} more in the report")
    for part in result.coverage:
        if part.status != "measured":
            click.echo(f"  not measured: {part.probe}: {part.why}")
    for path in written:
        click.echo(f"  {path}")
