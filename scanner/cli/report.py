"""`unmask report`."""

from __future__ import annotations

from pathlib import Path

import click

from scanner.cli._output import chosen, formats_option, output_option, sign_option, write


@click.command()
@click.argument("result", type=click.Path(path_type=Path))
@formats_option("html")
@output_option("unmask-report")
@sign_option()
def command(result: Path, formats: str, output: Path, sign: Path | None) -> None:
    """Make reports from RESULT, a result.json or a pack."""
    from scanner.pack.verification import result_of

    for path in write(result_of(result), chosen(formats), output, sign):
        click.echo(path)
