"""`unmask schema`."""

from __future__ import annotations

import click


@click.command()
def command() -> None:
    """Print the JSON Schema of result.json."""
    from scanner.schema import text

    click.echo(text(), nl=False)
