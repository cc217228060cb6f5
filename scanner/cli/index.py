"""`unmask index`."""

from __future__ import annotations

from pathlib import Path

import click

from scanner.cli._path import PATH
from scanner.errors import ScanError, UnreadableAdapter
from scanner.files.text import printable


@click.command()
@click.argument("folders", type=PATH, nargs=-1, required=True)
@click.option("--output", type=PATH, required=True, help="The index; one that is there already is extended.")
@click.option("--note", default="", help="What is known of these adapters; shown with a match.")
@click.option("--bad", is_flag=True, help="Mark these adapters as bad: a copy of one asks for a review.")
def command(folders: tuple[Path, ...], output: Path, note: str, bad: bool) -> None:
    """Take the fingerprints of the adapters in FOLDERS into an index for `unmask scan --known`.

    A folder is an adapter, or holds adapters. The index has a key of its own: keep it from those whose uploads it is used against.
    """
    from scanner.files.adapter import Adapter
    from scanner.known import Index, adapters_in, take

    before = Index.open(output) if output.exists() else Index.new()
    taken = []
    for folder in folders:
        if not folder.is_dir():
            raise ScanError(f"{printable(folder)}: no such folder")
        for path in adapters_in(folder):
            try:
                entry, prints = take(Adapter.open(path), before.key, note, bad)
            except UnreadableAdapter as error:
                click.echo(f"left out: {error}", err=True)
                continue
            if not prints:
                click.echo(f"left out: {printable(path)}: no module with low-rank factors", err=True)
                continue
            taken.append((entry, prints))
    if not taken:
        raise ScanError("no adapter was taken in; nothing was written")
    after = before.extended(taken)
    after.save(output)
    click.echo(f"{output}: {len(after.entries):,} adapters, {len(taken):,} of them taken in now")
