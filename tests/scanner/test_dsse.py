"""Signed envelopes: every curve, wrong keys, changed bytes, and signatures others made or check."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from scanner import dsse
from scanner.dsse import Envelope, sign, verify
from scanner.errors import ScanError
from tests.keys import keys


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_what_was_signed_comes_back_and_nothing_else_does(curve: ec.EllipticCurve, tmp_path: Path) -> None:
    private, public = keys(tmp_path, curve=curve)
    envelope = sign(b'{"a":1}', dsse.IN_TOTO, private)
    assert verify(envelope, public) == b'{"a":1}'
    for changed in (
        msgspec.structs.replace(envelope, payload="eyJhIjoyfQ=="),
        msgspec.structs.replace(envelope, payload_type="text/plain"),
        msgspec.structs.replace(envelope, signatures=()),
        msgspec.structs.replace(envelope, signatures=(msgspec.structs.replace(envelope.signatures[0], sig="AAAA"),)),
        msgspec.structs.replace(envelope, payload="not base64!"),
    ):
        with pytest.raises(ScanError) as error:
            verify(changed, public)
        assert str(error.value).isprintable()
    with pytest.raises(ScanError, match="did not sign"):
        verify(envelope, keys(tmp_path, "other", curve)[1])


def test_the_encoding_is_the_one_of_the_specification() -> None:
    assert dsse.pae(b"hello world", "http://example.com/HelloWorld") == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_openssl_accepts_the_signature(tmp_path: Path) -> None:
    import base64

    private, public = keys(tmp_path)
    envelope = sign(b"x", dsse.IN_TOTO, private)
    (tmp_path / "signed").write_bytes(dsse.pae(b"x", dsse.IN_TOTO))
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope.signatures[0].sig))
    done = subprocess.run(
        ["openssl", "dgst", "-sha256", "-verify", public, "-signature", tmp_path / "sig", tmp_path / "signed"], capture_output=True, check=False
    )
    assert done.stdout.strip() == b"Verified OK", done.stderr


def test_the_key_id_is_the_hint_of_model_signing(tmp_path: Path) -> None:
    from model_signing import signing

    private, public = keys(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a").write_text("x")
    signing.Config().use_elliptic_key_signer(private_key=private).sign(tmp_path / "model", tmp_path / "model.sig")
    bundle = msgspec.json.decode((tmp_path / "model.sig").read_bytes())
    assert bundle["verificationMaterial"]["publicKey"]["hint"] == dsse.key_id(dsse.load_public(public))
    envelope = msgspec.convert(bundle["dsseEnvelope"], Envelope)
    assert b"model_signing" in verify(envelope, public)


def test_a_password_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = keys(tmp_path, password=b"secret")
    monkeypatch.delenv(dsse.PASSWORD, raising=False)
    with pytest.raises(ScanError, match="has a password"):
        sign(b"x", dsse.IN_TOTO, private)
    monkeypatch.setenv(dsse.PASSWORD, "wrong")
    with pytest.raises(ScanError, match="another password"):
        sign(b"x", dsse.IN_TOTO, private)
    monkeypatch.setenv(dsse.PASSWORD, "secret")
    assert verify(sign(b"x", dsse.IN_TOTO, private), public) == b"x"
    with pytest.raises(ScanError, match="has no password"):
        sign(b"x", dsse.IN_TOTO, keys(tmp_path, "plain")[0])


def test_other_keys_and_files_are_refused_in_one_line(tmp_path: Path) -> None:
    private, public = keys(tmp_path)
    weak, weak_public = keys(tmp_path, "weak", ec.SECP192R1())
    edwards = ed25519.Ed25519PrivateKey.generate()
    (tmp_path / "ed.pem").write_bytes(edwards.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    (tmp_path / "ed.pub").write_bytes(edwards.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    (tmp_path / "junk").write_bytes(b"\xff\x1b[2J" * 9)
    (tmp_path / "huge").write_bytes(b"x" * (dsse.LARGEST_KEY + 1))
    for bad in (public, weak, tmp_path / "ed.pem", tmp_path / "junk", tmp_path / "huge", tmp_path / "none", tmp_path):
        with pytest.raises(ScanError) as error:
            sign(b"x", dsse.IN_TOTO, bad)
        assert str(error.value).isprintable()
    for bad in (private, weak_public, tmp_path / "ed.pub", tmp_path / "junk", tmp_path / "huge", tmp_path / "none", tmp_path):
        with pytest.raises(ScanError) as error:
            verify(sign(b"x", dsse.IN_TOTO, private), bad)
        assert str(error.value).isprintable()
