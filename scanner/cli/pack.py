"""`unmask pack`."""

from __future__ import annotations

from pathlib import Path

import click

from scanner.cli._output import chosen, formats_option
from scanner.cli._path import PATH
from scanner.files.text import printable


@click.command()
@click.argument("result", type=PATH)
@click.option("--output", type=PATH, default=Path("unmask-pack.zip"), show_default=True, help="The archive to write.")
@formats_option("html,markdown,sarif,junit,bom,attestation")
@click.option("--policy", envvar="UNMASK_POLICY", help="The policy the scan used, where it is not a shipped one.")
@click.option("--sign", type=PATH, help="EC private key (PEM) to sign the pack with.")
def command(result: Path, output: Path, formats: str, policy: str | None, sign: Path | None) -> None:
    """Put RESULT, a result.json, and everything its verdict rests on into one archive."""
    import hashlib

    from scanner import cache
    from scanner.pack.packing import pack, same_tool
    from scanner.result import load

    loaded = load(result)
    data = pack(loaded, chosen(formats), policy=policy, key=sign)
    if not same_tool(loaded):
        click.echo(f"unmask: {printable(loaded.tool, 60)} made this result, so the prompt files of this version were left out", err=True)
    cache.write_atomic(output, data)
    click.echo(f"{output}  SHA-256 {hashlib.sha256(data).hexdigest()}")
