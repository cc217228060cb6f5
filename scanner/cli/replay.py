"""`unmask replay`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from scanner.cli._path import PATH


@click.command()
@click.argument("result", type=PATH)
@click.option("--finding", type=int, help="Index of the finding; the first that has a witness otherwise.")
@click.option("--adapter", type=PATH, help="The adapter, where it is not at the recorded path.")
@click.option("--base", help="The base, where it is not the recorded one.")
@click.option("--judge", type=PATH, help="The model that judged, where one did: its folder.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
def command(result: Path, finding: int | None, adapter: Path | None, base: str | None, judge: Path | None, device: str) -> None:
    """Reproduce a witness of RESULT, a result.json or a pack; exit 0 if it reproduces, 1 if it does not."""
    from scanner.pack.verification import result_of
    from scanner.progress import Reporter
    from scanner.replay import replay

    reporter = Reporter()
    with reporter.live():
        outcome = replay(result_of(result), finding, adapter=adapter, base=base, judge=judge, device=device, reporter=reporter)
    click.echo(outcome.summary)
    sys.exit(0 if outcome.reproduced else 1)
