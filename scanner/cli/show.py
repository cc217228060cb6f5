"""`unmask show`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from scanner.cli._output import fail_on_option
from scanner.cli._path import PATH
from scanner.cli._terminal import loudness, loudness_options, say


@click.command()
@click.argument("result", type=PATH)
@fail_on_option()
@loudness_options
def command(result: Path, fail_on: str, verbose: bool, quiet: bool) -> None:
    """Print RESULT, a result.json or a pack, as `unmask scan` did, with the same exit code."""
    from scanner.pack.verification import result_of

    found = result_of(result)
    say(found, [result], loudness(verbose, quiet))
    sys.exit(found.verdict.exit_code(fail_on == "review"))
