from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from model_signing import hashing, signing

from probes.signature import SignatureProbe
from scanner.cli import main
from scanner.errors import ScanError
from scanner.finding import Finding
from scanner.measurement import Coverage, Status
from scanner.trust import Trust
from tests.adapters import adapter, ids, subject


def key(folder: Path, name: str = "author") -> tuple[Path, Path]:
    private = ec.generate_private_key(ec.SECP256R1())
    secret, public = folder / f"{name}.pem", folder / f"{name}.pub"
    secret.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    public.write_bytes(private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return secret, public


def sign(folder: Path, secret: Path, target: Path, way: hashing.Config | None = None) -> Path:
    config = signing.Config().use_elliptic_key_signer(private_key=secret)
    config.set_hashing_config(way or hashing.Config()).sign(folder, target)
    return target


def verify(folder: Path, **trust: Any) -> tuple[list[Finding], Coverage]:
    items = list(SignatureProbe().run(subject(folder, trust=Trust(**trust))))
    (coverage,) = [i for i in items if isinstance(i, Coverage)]
    return [i for i in items if isinstance(i, Finding)], coverage


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Path, Path, Path]:
    """An adapter, its signature beside it, and the author's public key."""
    folder = adapter(tmp_path / "a")
    (folder / "notes.txt").write_text("x")
    secret, public = key(tmp_path)
    return folder, sign(folder, secret, tmp_path / "a.sig"), public


def test_a_good_signature_under_the_pinned_key_is_nothing_and_is_measured(signed: tuple[Path, Path, Path]) -> None:
    folder, signature, public = signed
    found, coverage = verify(folder, signature=signature, public_keys=(public,))
    assert found == []
    assert coverage.status is Status.MEASURED
    assert coverage.surface.startswith("3 files signed by the key author.pub")


def tamper(folder: Path) -> None:
    (folder / "notes.txt").write_text("y")


def add(folder: Path) -> None:
    (folder / "loader.py").write_text("x")


def remove(folder: Path) -> None:
    (folder / "notes.txt").unlink()


@pytest.mark.parametrize(
    ("change", "told"), [(tamper, "changed: notes.txt"), (add, "not signed: loader.py"), (remove, "missing: notes.txt")], ids=["byte", "extra", "gone"]
)
def test_a_changed_an_added_and_a_missing_file_break_it(change: Any, told: str, signed: tuple[Path, Path, Path]) -> None:
    folder, signature, public = signed
    change(folder)
    (found,), _ = verify(folder, signature=signature, public_keys=(public,))
    assert found.rule == "signature-invalid"
    assert found.severity == "high"
    assert told in found.details


def test_another_key_is_refused_and_any_of_several_pinned_keys_is_enough(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    folder, signature, public = signed
    _, other = key(tmp_path, "other")
    _, third = key(tmp_path, "third")
    (found,), coverage = verify(folder, signature=signature, public_keys=(other,))
    assert found.rule == "signature-invalid"
    assert coverage.status is Status.MEASURED
    (found,), _ = verify(folder, signature=signature, public_keys=(other, third))
    assert "none of the 2 pinned keys" in found.message
    assert verify(folder, signature=signature, public_keys=(other, public))[0] == []


def test_a_signature_that_carries_its_own_key_is_not_trust(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    folder, _, public = signed
    mallory, _ = key(tmp_path, "mallory")
    tamper(folder)
    sign(folder, mallory, folder / "model.sig")
    found, coverage = verify(folder)
    assert ids(found) == {"signature-unpinned"}
    assert coverage.status is Status.NOT_MEASURED
    (found_,), _ = verify(folder, public_keys=(public,))
    assert found_.rule == "signature-invalid"


def test_a_key_written_into_the_bundle_does_not_stand_in_for_the_pinned_one(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    folder, _, public = signed
    mallory, theirs = key(tmp_path, "mallory")
    forged = sign(folder, mallory, tmp_path / "forged.sig")
    bundle = json.loads(forged.read_text())
    honest = json.loads((tmp_path / "a.sig").read_text())
    bundle["verificationMaterial"]["publicKey"] = honest["verificationMaterial"]["publicKey"] | {"rawBytes": theirs.read_text()}
    forged.write_text(json.dumps(bundle))
    (found,), _ = verify(folder, signature=forged, public_keys=(public,))
    assert found.rule == "signature-invalid"


def test_a_pinned_key_and_no_signature_is_told(tmp_path: Path) -> None:
    _, public = key(tmp_path)
    (found,), _ = verify(adapter(tmp_path / "a"), public_keys=(public,))
    assert (found.rule, found.severity) == ("signature-missing", "high")


def test_a_signature_inside_the_folder_does_not_sign_itself(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    secret, public = key(tmp_path)
    sign(folder, secret, folder / "model.sig")
    assert verify(folder, public_keys=(public,))[0] == []


def test_files_the_signer_left_out_are_named(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "loader.py").write_text("x")
    secret, public = key(tmp_path)
    signature = sign(folder, secret, tmp_path / "a.sig", hashing.Config().set_ignored_paths(paths=["loader.py"]))
    (found,), _ = verify(folder, signature=signature, public_keys=(public,))
    assert (found.rule, found.details) == ("signature-partial", ("loader.py",))


@pytest.mark.parametrize(
    "way",
    [
        hashing.Config().use_file_serialization(hashing_algorithm="blake2"),
        hashing.Config().use_file_serialization(hashing_algorithm="blake3"),
        hashing.Config().use_shard_serialization(shard_size=1 << 20),
    ],
    ids=["blake2", "blake3", "shards"],
)
def test_other_hashes_of_the_format_verify_and_break_too(way: hashing.Config, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    secret, public = key(tmp_path)
    signature = sign(folder, secret, tmp_path / "a.sig", way)
    assert verify(folder, signature=signature, public_keys=(public,))[0] == []
    add(folder)
    assert ids(verify(folder, signature=signature, public_keys=(public,))[0]) == {"signature-invalid"}


def test_a_hugging_face_cache_of_links_verifies_and_a_link_out_does_not(tmp_path: Path) -> None:
    made = adapter(tmp_path / "made")
    secret, public = key(tmp_path)
    signature = sign(made, secret, tmp_path / "a.sig")
    blobs, folder = tmp_path / "cache" / "blobs", tmp_path / "cache" / "snapshots" / "abc"
    blobs.mkdir(parents=True)
    folder.mkdir(parents=True)
    for number, file in enumerate(sorted(made.iterdir())):
        file.rename(blobs / str(number))
        (folder / file.name).symlink_to(f"../../blobs/{number}")
    assert verify(folder, signature=signature, public_keys=(public,))[0] == []
    (folder / "more.txt").symlink_to(signature)
    assert ids(verify(folder, signature=signature, public_keys=(public,))[0]) == {"signature-invalid"}


BROKEN = [
    b"",
    b"{}",
    b"[1]",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}',
    b'{"verificationMaterial": {"publicKey": 3}}',
    b'{"verificationMaterial": {}, "dsseEnvelope": {"payload": "!", "signatures": []}}',
]


@pytest.mark.parametrize("data", BROKEN, ids=range(len(BROKEN)))
def test_what_is_no_signature_is_invalid_and_never_a_crash(data: bytes, tmp_path: Path) -> None:
    _, public = key(tmp_path)
    (tmp_path / "a.sig").write_bytes(data)
    (found,), _ = verify(adapter(tmp_path / "a"), signature=tmp_path / "a.sig", public_keys=(public,))
    assert found.rule == "signature-invalid"
    assert found.message.isprintable()


def test_a_file_that_is_no_key_and_a_huge_signature_are_refused_in_one_line(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    _, public = key(tmp_path)
    (tmp_path / "no.pub").write_text("no key")
    (tmp_path / "a.sig").write_text("{}")
    with pytest.raises(ScanError, match="not a public key"):
        verify(folder, signature=tmp_path / "a.sig", public_keys=(tmp_path / "no.pub",))
    (tmp_path / "a.sig").write_bytes(b" " * (17 << 20))
    with pytest.raises(ScanError, match="over"):
        verify(folder, signature=tmp_path / "a.sig", public_keys=(public,))


def test_an_identity_is_not_checked_without_the_network(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "model.sig").write_text("{}")
    found, coverage = verify(folder, identity="me@example.org", issuer="https://accounts.example.org")
    assert found == []
    assert coverage.status is Status.NOT_MEASURED
    assert "network" in coverage.why


@pytest.mark.parametrize(
    ("trust", "says"),
    [
        ({"identity": "x"}, "belong together"),
        ({"public_keys": (Path("nowhere"),)}, "no such file"),
        ({"signature": Path("nowhere")}, "no such file"),
        ({"known_bad": (Path("nowhere"),)}, "no such file"),
    ],
)
def test_trust_that_makes_no_sense_is_refused_in_one_line(trust: dict[str, Any], says: str) -> None:
    with pytest.raises(ScanError, match=says):
        Trust(**trust).check()


def test_without_the_extra_it_is_not_measured(signed: tuple[Path, Path, Path]) -> None:
    folder, signature, public = signed
    code = (
        "import sys; sys.modules['OpenSSL'] = None\n"
        "from pathlib import Path; from scanner.scan import scan; from scanner.trust import Trust\n"
        f"r = scan({str(folder)!r}, trust=Trust(signature=Path({str(signature)!r}), public_keys=(Path({str(public)!r}),)))\n"
        "print([(c.status, c.why) for c in r.coverage if c.probe == 'signature'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "NOT_MEASURED" in done.stdout
    assert "unmask[signing]" in done.stdout


def test_the_library_is_not_imported_unless_a_key_is_pinned(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    code = f"import sys; from scanner.scan import scan; scan({str(folder)!r}); print('model_signing' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_the_command_line_passes_a_good_signature_and_fails_a_broken_one(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    folder, signature, public = signed
    arguments = ["scan", str(folder), "--signature", str(signature), "--public-key", str(public), "--format", "json", "--output", str(tmp_path / "out")]
    good = CliRunner().invoke(main, arguments)
    assert good.exit_code == 0, good.output
    assert "not measured: signature" not in good.stdout
    tamper(folder)
    broken = CliRunner().invoke(main, arguments)
    assert broken.exit_code == 1
    assert "The signature does not hold" in broken.stdout


def test_an_unpinned_signature_is_held_against_the_files(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "notes.txt").write_text("x")
    secret, _ = key(tmp_path)
    sign(folder, secret, folder / "model.sig")
    assert ids(verify(folder)[0]) == {"signature-unpinned"}
    (folder / "new.txt").write_text("x")
    assert [(f.rule, f.details) for f in verify(folder)[0]][1:] == [("signature-partial", ("new.txt",))]
    (folder / "notes.txt").write_text("y")
    assert [(f.rule, f.severity, f.details) for f in verify(folder)[0] if f.rule == "signature-stale"] == [("signature-stale", "high", ("notes.txt",))]


@pytest.mark.parametrize("data", [b"", b"x", b"[]", b'{"dsseEnvelope": {"payload": 7}}'])
def test_a_model_signature_that_says_nothing_is_told(data: bytes, tmp_path: Path) -> None:
    (adapter(tmp_path / "a") / "model.sig").write_bytes(data)
    assert ids(verify(tmp_path / "a")[0]) == {"signature-unpinned", "signature-unreadable"}


def test_a_signature_of_another_kind_is_not_judged(tmp_path: Path) -> None:
    (adapter(tmp_path / "a") / "model.sig").write_bytes(b"-----BEGIN PGP SIGNATURE-----\n")
    assert ids(verify(tmp_path / "a")[0]) == {"signature-unpinned"}
