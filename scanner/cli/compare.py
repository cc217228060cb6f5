"""`unmask compare`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from scanner.cli._path import PATH
from scanner.errors import ScanError
from scanner.files.text import printable


@click.command()
@click.argument("before", type=PATH)
@click.argument("after", type=PATH)
@click.option("--format", "kind", default="text", show_default=True, help="text, html, json or markdown.")
@click.option("--output", type=PATH, help="File to write to; standard output otherwise.")
@click.option("--fail-on-worse", is_flag=True, help="Exit 1 when AFTER is worse, 2 when the two cannot be compared.")
def command(before: Path, after: Path, kind: str, output: Path | None, fail_on_worse: bool) -> None:
    """Compare two results, each a result.json or a pack: two versions of an adapter, or one adapter on two deployments.

    Worse is: a worse verdict, a new finding that the policy acts on, one that weighs more, a measurement that changed in its bad
    direction beyond chance, or something that is no longer measured.
    """
    from scanner import cache
    from scanner.comparison import compare
    from scanner.pack.verification import result_of
    from scanner.report import comparison_reports

    known = comparison_reports()
    if kind not in known:
        raise ScanError(f"--format {printable(kind, 40)}: choose from {', '.join(known)}")
    found = compare(result_of(before), result_of(after))
    data = known[kind]().render(found)
    if output:
        cache.write_atomic(output, data)
        click.echo(output)
    else:
        click.echo(data.decode(), nl=False)
    if fail_on_worse:
        if not found.comparable:
            raise ScanError("not comparable: adapter and deployment are both others")
        sys.exit(1 if found.worse else 0)
