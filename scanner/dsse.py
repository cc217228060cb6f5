"""Signed envelopes: DSSE v1 (https://github.com/secure-systems-lab/dsse) with an elliptic-curve key.

Keys and signatures are those of OpenSSF model signing and of cosign: NIST P-256 with SHA-256, P-384 with SHA-384, P-521 with SHA-512,
PEM files. Needs `cryptography` (extra `signing`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from scanner.errors import ScanError
from scanner.files.text import printable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

IN_TOTO = "application/vnd.in-toto+json"
LARGEST_KEY = 64 * 1024
PASSWORD = "UNMASK_KEY_PASSWORD"
"""The environment variable that holds the private key's password, where it has one."""


class Signature(msgspec.Struct, frozen=True):
    """One signature, base64."""

    sig: str
    keyid: str = ""


class Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """A payload, base64, and who signed it."""

    payload: str
    payload_type: str
    signatures: tuple[Signature, ...]


def sign(payload: bytes, payload_type: str, key: Path) -> Envelope:
    """Sign `payload` with the private key in the PEM file `key`. Signing twice gives the same bytes (RFC 6979)."""
    private = _private(key)
    from cryptography.hazmat.primitives.asymmetric import ec

    signature = private.sign(pae(payload, payload_type), ec.ECDSA(_hash(private.public_key()), deterministic_signing=True))
    keyid = key_id(private.public_key())
    return Envelope(base64.b64encode(payload).decode(), payload_type, (Signature(base64.b64encode(signature).decode(), keyid),))


def verify(envelope: Envelope, key: Path, payload_type: str = IN_TOTO) -> bytes:
    """The payload, if the public key in the PEM file `key` signed it. Raises ScanError with one line otherwise."""
    public = load_public(key)
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec

    if envelope.payload_type != payload_type:
        raise ScanError(f"the envelope holds {printable(envelope.payload_type, 80)}, not {payload_type}")
    payload = _decoded(envelope.payload)
    for signature in envelope.signatures[:16]:
        try:
            public.verify(_decoded(signature.sig), pae(payload, payload_type), ec.ECDSA(_hash(public)))
        except InvalidSignature:
            continue
        return payload
    raise ScanError(f"the key {printable(key.name, 80)} did not sign this, or it was changed since")


def pae(payload: bytes, payload_type: str) -> bytes:
    """What is really signed: DSSE's pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def key_id(public: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 in hex of the public key's PEM, which is the hint OpenSSF model signing writes."""
    from cryptography.hazmat.primitives import serialization

    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()


def load_public(path: Path) -> ec.EllipticCurvePublicKey:
    """The public key in a PEM file. Raises ScanError when it is none of the three curves'."""
    data = _pem(path)
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = serialization.load_pem_public_key(data)
    except Exception as error:  # cryptography raises many kinds
        raise ScanError(f"{printable(path)}: not a public key in PEM ({printable(error, 120)})") from None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ScanError(f"{printable(path)}: not an elliptic-curve key")
    _hash(key)
    return key


def _private(path: Path) -> ec.EllipticCurvePrivateKey:
    data = _pem(path)
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    password = os.environ.get(PASSWORD)
    try:
        key = serialization.load_pem_private_key(data, password.encode() if password else None)
    except TypeError:
        raise ScanError(f"{printable(path)}: " + (f"has no password; unset {PASSWORD}" if password else f"has a password; give it in {PASSWORD}")) from None
    except Exception as error:  # cryptography raises many kinds
        raise ScanError(f"{printable(path)}: not a private key in PEM, or another password ({printable(error, 120)})") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ScanError(f"{printable(path)}: not an elliptic-curve key; make one with: openssl ecparam -name prime256v1 -genkey -noout")
    _hash(key.public_key())
    return key


def _pem(path: Path) -> bytes:
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise ScanError("signatures need the extra: pip install 'unmask[signing]'") from None
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST_KEY + 1)
    except OSError as error:
        raise ScanError(f"{printable(path)}: cannot be read ({error.strerror})") from None
    if len(data) > LARGEST_KEY:
        raise ScanError(f"{printable(path)}: over {LARGEST_KEY:,} bytes, which is no key")
    return data


def _hash(public: ec.EllipticCurvePublicKey) -> Any:
    from cryptography.hazmat.primitives import hashes

    known = {"secp256r1": hashes.SHA256(), "secp384r1": hashes.SHA384(), "secp521r1": hashes.SHA512()}
    if public.curve.name not in known:
        raise ScanError(f"keys on the curve {public.curve.name} are not supported: use P-256, P-384 or P-521")
    return known[public.curve.name]


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ScanError("the envelope is not base64") from None
