"""`unmask verify-pack`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from scanner.cli._path import PATH

_COLOUR = {"ok": "green", "FAILED": "red", "not checked": "yellow"}


@click.command()
@click.argument("pack", type=PATH)
@click.option("--key", type=PATH, help="EC public key (PEM) of whoever must have signed it.")
@click.option("--adapter", type=PATH, help="Folder that must hold the adapter that was scanned.")
def command(pack: Path, key: Path | None, adapter: Path | None) -> None:
    """Check PACK, written by `unmask pack`, offline: its files, its signature, and that its verdict follows from its evidence.

    Exit codes: 0 nothing failed, 1 a check failed, 2 it is not a pack, or there is no such key.
    """
    from scanner.files.text import printable
    from scanner.pack.verification import verify

    found = verify(pack, key, adapter)
    verdict = found.result.verdict
    claim = "" if found.holds else "DOES NOT HOLD  it says "
    click.echo(f"{claim}{verdict.outcome.upper()}  {printable(verdict.headline, 300)}")
    for check in found.checks:
        click.echo(f"  {click.style(check.state, fg=_COLOUR[check.state])}: {check.name}: {check.text}")
    for text in found.not_proven:
        click.echo(f"  not proven: {text}")
    click.echo("the pack holds" if found.holds else "the pack DOES NOT hold")
    sys.exit(0 if found.holds else 1)
