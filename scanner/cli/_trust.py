"""Options that say what the user trusts: keys, identities, lists of hashes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from scanner.cli._path import PATH
from scanner.trust import Trust

_Command = TypeVar("_Command", bound=Callable[..., Any])
_OPTIONS = (
    click.option("--signature", type=PATH, help="OpenSSF model signature; model.sig in the folder otherwise."),
    click.option("--public-key", "public_keys", type=PATH, multiple=True, help="PEM key, one of which must have made the signature; repeatable."),
    click.option("--identity", default="", help="Signer of a Sigstore signature, with --issuer and --allow-hub, instead of a key."),
    click.option("--issuer", default="", help="OpenID Connect issuer who vouches for --identity."),
    click.option("--known-bad", type=PATH, multiple=True, help="List of SHA-256 sums that block, as sha256sum writes it; repeatable."),
    click.option("--known-good", type=PATH, multiple=True, help="Allowlist of SHA-256 sums: every file on no list is a finding; repeatable."),
)


def trust_options(command: _Command) -> _Command:
    """Add the options whose values `trust` takes."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def trust(network: bool, **given: Any) -> Trust:
    """The options' values as one thing."""
    return Trust(network=network, **given)
