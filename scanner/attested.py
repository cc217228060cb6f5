"""Reading an attestation back: who signed it, what it says, and whether a folder is the one it is about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from scanner import dsse
from scanner.errors import ScanError
from scanner.files import inventory
from scanner.files.text import printable

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
SCAN = "urn:unmask:scan:1"
"""The predicate's extension field with what only unmask says."""
LARGEST = 16 * 1024 * 1024


class Scanned(msgspec.Struct, frozen=True, kw_only=True):
    """What the extension field says."""

    tool: str
    outcome: str
    headline: str
    profile: str


class Attestation(msgspec.Struct, frozen=True, kw_only=True):
    """A statement whose signature held."""

    scanned: Scanned
    files: dict[str, str]
    """SHA-256 in hex by path."""


def read(path: Path, key: Path) -> Attestation:
    """The attestation in the envelope `path`, signed by the public key in `key`. Raises ScanError with one line otherwise."""
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ScanError(f"{printable(path)}: over {LARGEST:,} bytes")
        envelope = msgspec.json.decode(data, type=dsse.Envelope)
    except OSError as error:
        raise ScanError(f"{printable(path)}: cannot be read ({error.strerror})") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ScanError(f"{printable(path)}: not a signed envelope ({printable(error, 160)})") from None
    payload = dsse.verify(envelope, key)
    try:
        statement = msgspec.json.decode(payload, type=_Statement)
        if (statement.type, statement.predicate_type) != (STATEMENT, PREDICATE):
            raise ScanError(f"{printable(path)}: a statement of another kind ({printable(statement.predicate_type, 120)})")
        scanned = msgspec.convert(statement.predicate.get(SCAN), Scanned)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ScanError(f"{printable(path)}: not an attestation of a scan ({printable(error, 160)})") from None
    return Attestation(scanned=scanned, files={s.name: s.digest.get("sha256", "") for s in statement.subject})


def differences(attestation: Attestation, folder: Path) -> tuple[str, ...]:
    """How the files of `folder` differ from the attested ones, a line each; none when they are the same."""
    found = {f.path: f.sha256 for f in inventory.take(folder) if f.sha256}
    lines = [f"changed: {printable(n, 200)}" for n in sorted(found.keys() & attestation.files.keys()) if found[n] != attestation.files[n]]
    lines += [f"missing: {printable(n, 200)}" for n in sorted(attestation.files.keys() - found.keys())]
    return (*lines, *(f"not attested: {printable(n, 200)}" for n in sorted(found.keys() - attestation.files.keys())))


class _Subject(msgspec.Struct, frozen=True):
    name: str
    digest: dict[str, str]


class _Statement(msgspec.Struct, frozen=True, kw_only=True):
    type: str = msgspec.field(name="_type")
    subject: tuple[_Subject, ...]
    predicate_type: str = msgspec.field(name="predicateType")
    predicate: dict[str, Any]
