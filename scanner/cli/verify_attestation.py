"""`unmask verify-attestation`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from scanner.cli._path import PATH


@click.command()
@click.argument("attestation", type=PATH)
@click.option("--key", type=PATH, required=True, help="EC public key (PEM) of whoever must have signed it.")
@click.option("--adapter", type=PATH, help="Folder whose files must be the attested ones.")
def command(attestation: Path, key: Path, adapter: Path | None) -> None:
    """Check the signature of ATTESTATION, written by --sign, and show what it says.

    Exit codes: 0 it holds, 1 the files of --adapter are others, 2 it cannot be read or the key did not sign it.
    """
    from scanner.attested import differences, read
    from scanner.files.text import printable

    found = read(attestation, key)
    lines = differences(found, adapter) if adapter else ()
    click.echo(f"signed by {printable(key.name, 80)}: {printable(found.scanned.outcome, 20)}, {printable(found.scanned.headline, 300)}")
    click.echo(f"{len(found.files)} files, {printable(found.scanned.tool, 60)}, profile {printable(found.scanned.profile, 40)}")
    for line in lines:
        click.echo(line)
    if adapter and not lines:
        click.echo("the folder holds exactly these files")
    sys.exit(1 if lines else 0)
