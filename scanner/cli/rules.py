"""`unmask rules`."""

from __future__ import annotations

import click

from scanner.errors import ScanError
from scanner.files.text import printable


@click.command()
@click.argument("id", required=False)
def command(id: str | None) -> None:
    """List every rule, or explain the rule ID."""
    from scanner.probe import rules

    known = rules()
    if id is None:
        for rule in sorted(known.values(), key=lambda r: (-r.severity.level, r.id)):
            click.echo(f"{rule.severity:<9} {rule.basis:<14} {rule.id:<22} {rule.title}")
        return
    if id not in known:
        raise ScanError(f"no rule {printable(id, 60)}; see `unmask rules`")
    rule = known[id]
    click.echo(f"{rule.id}: {rule.title}\nseverity {rule.severity}, basis {rule.basis}\n\n{rule.meaning}\n\nWhy: {rule.why}\n\nFix: {rule.fix}")
    for reference in rule.references:
        click.echo(f"  {reference.catalogue} {reference.id}  {reference.title}")
