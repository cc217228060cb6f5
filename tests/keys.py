"""Elliptic-curve keys made for a test."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


def keys(folder: Path, name: str = "key", curve: ec.EllipticCurve | None = None, password: bytes | None = None) -> tuple[Path, Path]:
    """Paths of a private and a public key in PEM, made on first call."""
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    if not private.exists():
        key = ec.generate_private_key(curve or ec.SECP256R1())
        hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden))
        public.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public
