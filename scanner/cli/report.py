"""`unmask report`."""

from __future__ import annotations

from pathlib import Path

import click

from scanner.cli._output import chosen, formats_option, output_option, sign_option, write
from scanner.cli._path import PATH


@click.command()
@click.argument("result", type=PATH)
@click.option("--against", type=PATH, help="An earlier result.json or pack: the HTML report then says what changed since.")
@formats_option("html")
@output_option("unmask-report")
@sign_option()
def command(result: Path, against: Path | None, formats: str, output: Path, sign: Path | None) -> None:
    """Make reports from RESULT, a result.json or a pack."""
    from scanner.comparison import compare
    from scanner.pack.verification import result_of

    found = result_of(result)
    earlier = compare(result_of(against), found) if against else None
    for path in write(found, chosen(formats), output, sign, earlier):
        click.echo(path)
