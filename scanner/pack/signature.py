"""The pack's signature: an OpenSSF model signature over every file, so that it can be checked without unmask as well.

Format: a Sigstore bundle v0.3 with a DSSE envelope around an in-toto statement of predicate https://model_signing/signature/v1.0,
as `model_signing verify key` reads it (https://github.com/ossf/model-signing-spec).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from scanner import dsse
from scanner.attested import STATEMENT
from scanner.errors import ScanError
from scanner.files.text import printable
from scanner.pack.manifest import SIGNATURE

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PREDICATE = "https://model_signing/signature/v1.0"
NAME = "unmask-pack"
LARGEST = 4 * 1024 * 1024


def sign(files: Mapping[str, bytes], key: Path) -> bytes:
    """A signature over `files` with the private key in the PEM file `key`."""
    resources = [{"name": p, "algorithm": "sha256", "digest": hashlib.sha256(files[p]).hexdigest()} for p in sorted(files)]
    root = hashlib.sha256(b"".join(bytes.fromhex(r["digest"]) for r in resources)).hexdigest()
    serialization = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": [SIGNATURE]}
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": NAME, "digest": {"sha256": root}}],
        "predicateType": PREDICATE,
        "predicate": {"serialization": serialization, "resources": resources},
    }
    envelope = dsse.sign(msgspec.json.encode(statement), dsse.IN_TOTO, key)
    bundle = {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": envelope.signatures[0].keyid}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": envelope.payload,
            "payloadType": envelope.payload_type,
            "signatures": [{"sig": envelope.signatures[0].sig, "keyid": ""}],
        },
    }
    return msgspec.json.format(msgspec.json.encode(bundle), indent=2) + b"\n"


def differences(files: Mapping[str, bytes], key: Path) -> tuple[str, ...]:
    """How `files` differ from what the public key in `key` signed, a line each; none when they are the signed ones.

    Raises ScanError when there is no signature, it is none, or the key did not make it.
    """
    if SIGNATURE not in files:
        raise ScanError("the pack is not signed")
    if len(files[SIGNATURE]) > LARGEST:
        raise ScanError(f"{SIGNATURE}: over {LARGEST:,} bytes")
    try:
        bundle = msgspec.json.decode(files[SIGNATURE], type=_Bundle)
        payload = dsse.verify(bundle.envelope, key)
        statement = msgspec.json.decode(payload, type=_Statement)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ScanError(f"{SIGNATURE}: not a signature of a pack ({printable(error, 160)})") from None
    if statement.predicate_type != PREDICATE:
        raise ScanError(f"{SIGNATURE}: a statement of another kind ({printable(statement.predicate_type, 120)})")
    signed = {r.name: r.digest if r.algorithm == "sha256" else "" for r in statement.predicate.resources}
    found = {p: hashlib.sha256(d).hexdigest() for p, d in files.items() if p != SIGNATURE}
    lines = [f"not signed: {printable(p, 160)}" for p in sorted(found.keys() - signed.keys())]
    lines += [f"signed and missing: {printable(p, 160)}" for p in sorted(signed.keys() - found.keys())]
    return (*lines, *(f"changed since it was signed: {printable(p, 160)}" for p in sorted(found.keys() & signed.keys()) if found[p] != signed[p]))


class _Resource(msgspec.Struct, frozen=True):
    name: str
    algorithm: str
    digest: str


class _Predicate(msgspec.Struct, frozen=True):
    resources: tuple[_Resource, ...]


class _Statement(msgspec.Struct, frozen=True, kw_only=True):
    predicate_type: str = msgspec.field(name="predicateType")
    predicate: _Predicate


class _Bundle(msgspec.Struct, frozen=True):
    envelope: dsse.Envelope = msgspec.field(name="dsseEnvelope")
