"""What is in a pack: every file with its size, its hash and what it is for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from scanner.errors import ScanError
from scanner.files.text import printable

VERSION = 1
LARGEST = 4 * 1024 * 1024
"""Bytes of the manifest."""
NAME, RESULT, POLICY, SIGNATURE, README = "manifest.json", "result.json", "policy.toml", "signature.json", "README.txt"


class Role(StrEnum):
    """What a file is for."""

    RESULT = "result"
    POLICY = "policy"
    REPORT = "report"
    PROMPTS = "prompts"
    README = "readme"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One file."""

    path: str
    bytes: int
    sha256: str
    role: Role


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The pack's table of contents; only itself and the signature are not in it."""

    format: str = "unmask-pack"
    version: int = VERSION
    tool: str
    scope_sha256: str
    files: tuple[Entry, ...]

    def of(self, role: Role) -> tuple[Entry, ...]:
        """The files of one role."""
        return tuple(e for e in self.files if e.role is role)


def make(tool: str, scope_sha256: str, files: Mapping[str, tuple[Role, bytes]]) -> Manifest:
    """The manifest of `files`, each with its role and contents, by path."""
    entries = (Entry(path=p, bytes=len(d), sha256=hashlib.sha256(d).hexdigest(), role=r) for p, (r, d) in sorted(files.items()))
    return Manifest(tool=tool, scope_sha256=scope_sha256, files=tuple(entries))


def encode(manifest: Manifest) -> bytes:
    """The manifest as it stands in the pack."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=2) + b"\n"


def read(files: Mapping[str, bytes]) -> Manifest:
    """The manifest among a pack's files. Raises ScanError when there is none, or one of another version."""
    if NAME not in files or len(files[NAME]) > LARGEST:
        raise ScanError(f"the archive holds no {NAME} of at most {LARGEST:,} bytes: not a pack")
    try:
        found = msgspec.json.decode(files[NAME], type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ScanError(f"{NAME}: not a pack's ({printable(error, 160)})") from None
    if (found.format, found.version) != ("unmask-pack", VERSION):
        raise ScanError(f"{NAME}: {printable(found.format, 40)} version {found.version}; this unmask reads unmask-pack version {VERSION}")
    return found


def differences(manifest: Manifest, files: Mapping[str, bytes]) -> tuple[str, ...]:
    """How the files differ from the manifest, a line each; none when they are as listed."""
    listed = {e.path: e for e in manifest.files}
    lines = [f"missing: {printable(p, 160)}" for p in sorted(listed.keys() - files.keys())]
    lines += [f"not listed: {printable(p, 160)}" for p in sorted(files.keys() - listed.keys() - {NAME, SIGNATURE})]
    if len(listed) != len(manifest.files):
        lines.append("a file is listed twice")
    for path in sorted(listed.keys() & files.keys()):
        data, entry = files[path], listed[path]
        if (len(data), hashlib.sha256(data).hexdigest()) != (entry.bytes, entry.sha256):
            lines.append(f"changed: {printable(path, 160)}")
    return tuple(lines)
