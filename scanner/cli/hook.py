"""`unmask hook`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from scanner.cli._output import fail_on_option
from scanner.cli._path import PATH
from scanner.files.text import printable

CONFIG = "adapter_config.json"


@click.command()
@click.argument("files", type=PATH, nargs=-1)
@click.option(
    "--policy", envvar="UNMASK_POLICY", default="default", show_default=True, help="Policy file (TOML), or a shipped one: default, ci, platform or audit."
)
@fail_on_option(None)
def command(files: tuple[Path, ...], policy: str, fail_on: str | None) -> None:
    """Scan the adapters that FILES belong to, without a base, as pre-commit calls it.

    A file belongs to the nearest folder above it that holds an adapter_config.json, and to none where there is no such folder. Prints a
    line for each adapter; the exit code is the worst of theirs: 0 pass, 1 the policy fails one, 2 one could not be scanned.
    """
    from scanner.errors import ScanError
    from scanner.policy import Policy
    from scanner.scan import scan

    strict = (fail_on or Policy.open(policy).scan.fail_on) == "review"
    worst = 0
    for folder in sorted({found for f in files if (found := _adapter(f)) is not None}):
        try:
            verdict = scan(folder, policy=policy).verdict
        except ScanError as error:
            click.echo(f"unmask: {error}", err=True)
            worst = 2
            continue
        click.echo(f"{verdict.outcome.upper()}  {printable(folder)}: {printable(verdict.headline, 300)}")
        worst = max(worst, verdict.exit_code(strict))
    sys.exit(worst)


def _adapter(file: Path) -> Path | None:
    """The adapter's folder that `file` lies in or under, as far up as the path goes."""
    return next((folder for folder in file.parents if (folder / CONFIG).is_file()), None)
