"""An OpenSSF model signature, verified under a key or identity the user pinned; one the adapter brings for itself proves nothing.

The cryptography and the format are those of the `model-signing` library (extra `signing`); what it verified is then held against the
inventory, so that the signed bytes are the scanned bytes. Specification: https://github.com/ossf/model-signing-spec.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import io
import posixpath
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from scanner.errors import ScanError
from scanner.files.adapter import Adapter
from scanner.files.inventory import File
from scanner.files.kinds import Kind
from scanner.files.strict_json import BadJson, load_object
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.measurement import Coverage, Status
from scanner.probe import Need, Yield
from scanner.rule import ATLAS_SUPPLY_CHAIN, CWE_NO_INTEGRITY_CHECK, OWASP_SUPPLY_CHAIN, Basis, Rule, Severity
from scanner.subject import Subject
from scanner.trust import Trust

USUAL = "model.sig"
LARGEST = 16 * 1024 * 1024
SMALLEST_SHARD = 64 * 1024
BUNDLE = b"application/vnd.dev.sigstore.bundle"
_OTHER_FORMATS = (b"-----BEGIN PGP", b"-----BEGIN SSH", b"untrusted comment:", b"\x88", b"\x89", b"\xc2", b"\x30")
"""How OpenPGP's, SSH's, minisign's and plain DER signatures begin: another tool's matter."""
IGNORED = {".gitattributes", ".gitignore"}
"""Files that the format leaves out of every signature."""

INVALID = Rule(
    id="signature-invalid",
    title="The signature does not hold",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="No pinned key or identity made this signature, or the files are not the ones it was made for.",
    why="The adapter was changed after it was signed, or somebody else signed it.",
    fix="Do not use it. Fetch it again from its author, with the signature, and verify once more.",
    references=(ATLAS_SUPPLY_CHAIN, CWE_NO_INTEGRITY_CHECK, OWASP_SUPPLY_CHAIN),
)
MISSING = Rule(
    id="signature-missing",
    title="A key or identity is pinned, and there is no signature",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="You asked for a signature under a pinned key or identity; neither --signature nor model.sig in the folder gives one.",
    why="Removing a signature must not be easier than forging one.",
    fix="Ask the author for the signature.",
    references=(CWE_NO_INTEGRITY_CHECK, OWASP_SUPPLY_CHAIN),
)
PARTIAL = Rule(
    id="signature-partial",
    title="The signature leaves files out",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="The signature is good for the files it names; the folder holds others, which the signer chose to leave out.",
    why="Anyone can change or add what is not signed.",
    fix="Deploy only the signed files.",
    references=(CWE_NO_INTEGRITY_CHECK,),
)
UNPINNED = Rule(
    id="signature-unpinned",
    title="A signature that nobody pinned",
    severity=Severity.INFO,
    basis=Basis.DOCUMENTATION,
    meaning="A signature was found, but no key or identity was given to verify it with.",
    why="Anyone can sign. A signature says something only under a key that came to you another way.",
    fix="Get the author's public key from a place you trust and give it with --public-key.",
    references=(CWE_NO_INTEGRITY_CHECK,),
)
STALE = Rule(
    id="signature-stale",
    title="The signature in the folder was made for other files",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="The signature names another SHA-256 for a file than the file has, or a file that is not there.",
    why="Whoever made the signature, these are not the files it was made for: they were changed afterwards. An author who uploads anew and forgets to sign leaves "
    "the same trace.",
    fix="Fetch the folder again; if it stays so, ask the author.",
    references=(ATLAS_SUPPLY_CHAIN, CWE_NO_INTEGRITY_CHECK, OWASP_SUPPLY_CHAIN),
)
UNREADABLE = Rule(
    id="signature-unreadable",
    title="A signature that cannot be read",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="A file is called a model signature, or begins like one, and holds no statement about files.",
    why="It vouches for nothing, and its presence may be taken for a signature.",
    fix="Ask the author for the signature; do not count this one.",
    references=(CWE_NO_INTEGRITY_CHECK,),
)


class SignatureProbe:
    """Who signed exactly these files."""

    id = "signature"
    title = "Signature"
    needs = Need.FILES
    cost = "where a key is pinned, one more read of every file"
    rules = (INVALID, MISSING, PARTIAL, UNPINNED, STALE, UNREADABLE)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Verify under what is pinned; say so where nothing is."""
        trust, adapter = subject.trust, subject.adapter
        beside = [f.path for f in adapter.files if f.sha256 and _looks_signed(adapter.root / f.path, f)]
        if not trust.pinned:
            for name in beside or ([str(trust.signature)] if trust.signature else []):
                shown = printable(name, 200)
                yield Finding(
                    rule=UNPINNED.id, message=f"{shown} was not verified: no key is pinned", severity=UNPINNED.severity, location=Location(file=shown)
                )
            for name in beside:
                yield from _read_only(adapter, name)
            yield self._unmeasured("no key or identity was pinned (--public-key, or --identity with --issuer)")
            return
        path = trust.signature or (adapter.root / USUAL if any(f.path == USUAL and f.sha256 for f in adapter.files) else None)
        if path is None:
            yield Finding(rule=MISSING.id, message=f"no --signature was given and the folder holds no {USUAL}", severity=MISSING.severity)
            yield Coverage(probe=self.id, what="signature", status=Status.MEASURED, surface="no signature")
            return
        if any(importlib.util.find_spec(m) is None for m in ("model_signing", "OpenSSL")):
            yield self._unmeasured("the extra is not installed: pip install 'unmask[signing]'")
            return
        if trust.identity and not trust.network:
            yield self._unmeasured("Sigstore's roots are fetched from the network, which was not allowed (--allow-hub)")
            return
        yield from self._verify(path, subject)

    def _unmeasured(self, why: str) -> Coverage:
        return Coverage(probe=self.id, what="signature", status=Status.NOT_MEASURED, why=why)

    def _verify(self, path: Path, subject: Subject) -> Iterator[Yield]:
        folder, files, trust = subject.adapter.root, subject.adapter.files, subject.trust
        data = _bounded(path)
        where = Location(file=printable(path.name, 200))
        try:
            by, genuine, problem = _verified(data, path, subject)
        except _Unreachable as error:
            yield self._unmeasured(f"Sigstore's roots could not be fetched: {error}")
            return
        resources = _resources(data) if genuine else {}
        own = path.resolve()
        unsigned = [f.path for f in files if f.path not in resources and f.path not in IGNORED and (folder / f.path).resolve() != own]
        changed = [f.path for f in files if f.path in resources and resources[f.path] not in ("", f.sha256)]
        gone = sorted(resources.keys() - {f.path for f in files})
        if not by or changed or gone:
            what = f"{len(changed)} files changed, {len(gone)} missing, {len(unsigned)} not signed" if changed or gone or (genuine and unsigned) else problem
            kinds = (("changed", changed), ("missing", gone), ("not signed", unsigned)) if genuine else ()
            yield Finding(
                rule=INVALID.id,
                message=f"{where.file}: {printable(what, 240)}",
                severity=INVALID.severity,
                location=where,
                details=tuple(f"{kind}: {printable(p, 160)}" for kind, some in kinds for p in some)[:40],
            )
        elif unsigned:
            yield Finding(
                rule=PARTIAL.id,
                message=f"{len(unsigned)} of {len(files)} files are not signed, first {printable(unsigned[0], 120)}",
                severity=PARTIAL.severity,
                location=Location(file=printable(unsigned[0], 200)),
                details=tuple(printable(p, 160) for p in unsigned[:40]),
            )
        pinned = f"{len(trust.public_keys)} pinned keys" if trust.public_keys else "one pinned identity"
        yield Coverage(
            probe=self.id,
            what="signature",
            status=Status.MEASURED,
            surface=f"{len(resources)} files signed by {by}" if by else f"{where.file} against {pinned}",
            bound="a signature says who, not what: an author can sign a backdoor",
        )


def _read_only(adapter: Adapter, name: str) -> Iterator[Finding]:
    """What an unverified signature in the folder says of the files: whoever made it, it cannot have been made for others."""
    path, shown = adapter.root / name, printable(name, 200)
    with path.open("rb") as stream:
        data = stream.read(LARGEST + 1)
    if (PurePosixPath(name).name != USUAL and BUNDLE not in data[:4096]) or data.startswith(_OTHER_FORMATS):
        return
    here = PurePosixPath(name).parent
    listed = {posixpath.normpath((here / n).as_posix()): digest for n, digest in _resources(data).items()} if len(data) <= LARGEST else {}
    if not listed:
        yield Finding(rule=UNREADABLE.id, message=f"{shown} names no files", severity=UNREADABLE.severity, location=Location(file=shown))
        return
    files = {f.path: f.sha256 for f in adapter.files}
    changed = sorted(p for p, digest in listed.items() if digest and p in files and files[p] != digest)
    gone = sorted(p for p in listed if p not in files and posixpath.normpath(p) == p and not p.startswith((".git", "../", "/")))
    left = [posixpath.normpath((here / p).as_posix()) for p in _left_out(data)]
    below = "" if here == PurePosixPath(".") else f"{here}/"
    added = sorted(
        p for p in files if p not in listed and p != name and p.startswith(below) and p.removeprefix(below) not in IGNORED
        and not p.removeprefix(below).startswith((".git/", ".github/")) and not any(p == o or p.startswith(f"{o}/") for o in left)
    )  # fmt: skip
    for rule, kind, paths in ((STALE, "changed since it was made", changed), (STALE, "missing", gone), (PARTIAL, "not in it", added)):
        if paths:
            severity = Severity.MEDIUM if kind == "missing" else rule.severity
            message = f"{shown}: {len(paths)} file{'s' if len(paths) > 1 else ''} {kind}, first {printable(paths[0], 120)}"
            details = tuple(printable(p, 160) for p in paths[:40])
            yield Finding(rule=rule.id, message=message, severity=severity, location=Location(file=printable(paths[0], 200)), details=details)


def _left_out(data: bytes) -> list[str]:
    """Paths that the signer says were left out."""
    predicate = _payload(data).get("predicate")
    way = predicate.get("serialization") if isinstance(predicate, dict) else None
    paths = way.get("ignore_paths") if isinstance(way, dict) else None
    return [p for p in paths if isinstance(p, str)] if isinstance(paths, list) else []


def _bounded(path: Path) -> bytes:
    with path.open("rb") as stream:
        data = stream.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ScanError(f"{printable(path)}: over {LARGEST:,} bytes, which is no signature")
    return data


def _verified(data: bytes, path: Path, subject: Subject) -> tuple[str, bool, str]:
    """Who made the signature, in words, or nothing; whether a pinned key made it; and why it does not hold.

    Raises _Unreachable when Sigstore's roots could not be fetched.
    """
    from model_signing import hashing, verifying

    class Files(hashing.Config):  # type: ignore[misc]
        """Hashing that tells that it was reached, which happens only after the cryptography held."""

        reached = False

        def hash(self, model_path: Path, **options: Any) -> Any:
            self.reached = True
            return super().hash(model_path, **options)

    folder, files = subject.adapter.root, subject.adapter.files
    reached, problem = False, ""
    with tempfile.TemporaryDirectory() as private:
        copy = Path(private) / "signature"
        copy.write_bytes(data)
        for who, verifier in _ways(verifying, subject.trust):
            chosen = _as_signed(Files(), data, links=all(f.kind is not Kind.LINK for f in files))
            if path.resolve().is_relative_to(folder.resolve()):
                chosen.set_ignored_paths(paths=[path.resolve().relative_to(folder.resolve())], ignore_git_paths=True)
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    verifier.set_hashing_config(chosen).verify(folder, copy)
                return who, True, ""
            except Exception as error:  # a hostile bundle makes the libraries below raise many kinds
                if chosen.reached or not reached:
                    problem = str(error).strip() or f"it does not verify ({type(error).__name__})"
                reached = reached or chosen.reached
    return "", reached, problem if reached or len(subject.trust.public_keys) < 2 else f"none of the {len(subject.trust.public_keys)} pinned keys made it"


def _ways(verifying: Any, trust: Trust) -> Iterator[tuple[str, Any]]:
    if trust.identity:
        try:
            yield (
                f"{printable(trust.identity, 120)}, vouched for by {printable(trust.issuer, 120)}",
                verifying.Config().use_sigstore_verifier(identity=trust.identity, oidc_issuer=trust.issuer),
            )
        except Exception as error:  # the network, and what sigstore makes of it
            raise _Unreachable(printable(error, 160)) from None
    for key in trust.public_keys:
        try:
            digest = hashlib.sha256(key.read_bytes()).hexdigest()
            yield f"the key {printable(key.name, 80)} (SHA-256 {digest[:16]}…)", verifying.Config().use_elliptic_key_verifier(public_key=key)
        except Exception as error:  # cryptography raises many kinds
            raise ScanError(f"{printable(key)}: not a public key for model signatures ({printable(error, 120)})") from None


class _Unreachable(Exception):
    """Sigstore's roots of trust could not be fetched."""


def _payload(data: bytes) -> dict[str, Any]:
    """The in-toto statement inside a bundle, not verified; empty when there is none."""
    try:
        bundle, _ = load_object(data, LARGEST)
        statement, _ = load_object(base64.b64decode(bundle["dsseEnvelope"]["payload"], validate=True), LARGEST)
    except (BadJson, KeyError, TypeError, ValueError):
        return {}
    return statement


def _as_signed(config: Any, data: bytes, *, links: bool) -> Any:
    """`config`, hashing in the way the signature names; links are followed only where all of them stay in the folder or its cache."""
    predicate = _payload(data).get("predicate")
    named = predicate.get("serialization") if isinstance(predicate, dict) else None
    way = named if isinstance(named, dict) else {}
    algorithm = {"blake2b": "blake2", "blake3": "blake3"}.get(str(way.get("hash_type")), "sha256")
    size = way.get("shard_size")
    if way.get("method") == "shards" and isinstance(size, int | float) and size >= SMALLEST_SHARD:
        config.use_shard_serialization(hashing_algorithm=algorithm, shard_size=int(size), allow_symlinks=links)
    else:
        config.use_file_serialization(hashing_algorithm=algorithm, allow_symlinks=links)
    return config.set_allow_symlinks(links)


def _resources(data: bytes) -> dict[str, str]:
    """Files that the signature names, with their SHA-256 in hex, or an empty string where another hash was signed."""
    predicate = _payload(data).get("predicate")
    listed = predicate.get("resources") if isinstance(predicate, dict) else None
    found: dict[str, str] = {}
    for item in listed if isinstance(listed, list) else []:
        if isinstance(item, dict) and isinstance(item.get("name"), str):
            whole = item.get("algorithm") == "sha256"
            name = item["name"] if whole or ":" not in item["name"] else item["name"].rsplit(":", 2)[0]
            found[name] = str(item.get("digest", "")).lower() if whole else ""
    return found


def _looks_signed(path: Path, file: File) -> bool:
    """Whether a file of the folder is a signature, by its name or by what it says."""
    if file.path.lower().endswith((".sig", ".sigstore", ".sigstore.json", ".asc", ".minisig")):
        return True
    if file.kind is not Kind.JSON or file.bytes > LARGEST:
        return False
    with path.open("rb") as stream:
        return BUNDLE in stream.read(4096)
