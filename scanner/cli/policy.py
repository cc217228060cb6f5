"""`unmask policy`."""

from __future__ import annotations

import sys

import click


@click.group()
def command() -> None:
    """Check a policy file."""


@command.command()
@click.argument("file")
def check(file: str) -> None:
    """Say whether FILE is a valid policy, and in words what it does; FILE can be the name of a shipped one.

    Exit codes: 0 valid, 1 valid with a waiver that has expired, 2 not valid.
    """
    import datetime

    from scanner.policy import Policy
    from scanner.policy.baselines import accepted
    from scanner.policy.words import expired, explain
    from scanner.probe import probes, rules

    policy, known = Policy.open(file), rules()
    policy.check(known, {p.id for p in probes()})
    accepted(policy)
    today = datetime.datetime.now(datetime.UTC).date()
    for line in explain(policy, known, today):
        click.echo(line)
    sys.exit(1 if expired(policy, today) else 0)
