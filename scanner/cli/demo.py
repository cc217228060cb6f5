"""`unmask demo`."""

from __future__ import annotations

from pathlib import Path

import click

from scanner.cli._output import chosen, output_option, write
from scanner.errors import ScanError


@click.command()
@output_option("unmask-demo")
def command(output: Path) -> None:
    """Scan the four shipped adapters on the shipped base, and check that each gets the verdict it should."""
    from scanner.cli._terminal import say
    from scanner.demo.base import NAME, shipped
    from scanner.demo.expected import EXPECTED
    from scanner.progress import Reporter
    from scanner.scan import scan

    kinds = chosen("html,json")
    reporter = Reporter()
    right = True
    for name, outcome in EXPECTED.items():
        click.echo(f"── {name} (should be {outcome})")
        with reporter.live():
            result = scan(shipped(name), NAME, profile="quick", reporter=reporter)
        written = write(result, kinds, output / name)
        say(result, written)
        right = right and result.verdict.outcome is outcome
    if not right:
        raise ScanError("an adapter did not get the verdict it should")
