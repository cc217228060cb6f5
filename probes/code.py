"""Files that can run: pickles, scripts, executables, archives, links. Nothing is unpickled; opcodes are read."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from picklescan.scanner import SafetyLevel, scan_pickle_bytes

from scanner.files.inventory import File, Kind
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.measurement import Coverage, Status
from scanner.probe import Need, Yield
from scanner.rule import (
    ATLAS_EMBED_MALWARE,
    ATLAS_UNSAFE_ARTIFACT,
    CWE_DESERIALIZATION,
    CWE_UNTRUSTED_INCLUDE,
    OWASP_SUPPLY_CHAIN,
    Basis,
    Rule,
    Severity,
)
from scanner.subject import Subject

LARGEST_PICKLE = 64 * 1024 * 1024
TRAINING_CLASSES = ("transformers.", "accelerate.", "trl.", "peft.", "torch.")
"""Packages whose classes, named in a pickle, are what trainers leave behind."""

PICKLE_CODE = Rule(
    id="pickle-code",
    title="A pickle that runs code when it is loaded",
    severity=Severity.CRITICAL,
    basis=Basis.INTEGRITY,
    meaning="The file is a pickle whose opcodes import a function that can run commands, read files or load code.",
    why="torch.load, pickle.load and many tools run it the moment they open the file. No honest adapter needs it.",
    fix="Do not load anything from this folder. Report it to the platform it came from.",
    references=(ATLAS_UNSAFE_ARTIFACT, ATLAS_EMBED_MALWARE, OWASP_SUPPLY_CHAIN, CWE_DESERIALIZATION),
)
PICKLE_UNKNOWN = Rule(
    id="pickle-unknown",
    title="A pickle that imports names unmask does not know",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="The pickle imports classes or functions outside the list of what trainers and torch write.",
    why="Loading a pickle calls what it imports. Home-made training code leaves such files too.",
    fix="Delete the file before use; an adapter needs only its .safetensors and .json files.",
    references=(ATLAS_UNSAFE_ARTIFACT, CWE_DESERIALIZATION),
)
PICKLE_FILE = Rule(
    id="pickle-file",
    title="A pickle lies beside the adapter",
    severity=Severity.LOW,
    basis=Basis.INTEGRITY,
    meaning="A pickle that imports only what torch and trainers write, such as training_args.bin or optimizer.pt.",
    why="It is not needed to use the adapter, and pickles are unsafe to open in general.",
    fix="Leave it out of what you deploy.",
    references=(CWE_DESERIALIZATION,),
)
SCRIPT_FILE = Rule(
    id="code-file",
    title="Code lies beside the adapter",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="A script or an executable is in the adapter's folder.",
    why="An adapter is data. Code beside it is run by people, or by loaders told to trust remote code.",
    fix="Read it, or leave it out of what you deploy. Never set trust_remote_code for this folder.",
    references=(ATLAS_EMBED_MALWARE, CWE_UNTRUSTED_INCLUDE),
)
ARCHIVE_FILE = Rule(
    id="archive-file",
    title="An archive lies beside the adapter",
    severity=Severity.LOW,
    basis=Basis.INTEGRITY,
    meaning="A compressed or packed file is in the adapter's folder; its contents were not examined.",
    why="What is packed escapes scanners, and unpacking can write outside its folder.",
    fix="Leave it out of what you deploy.",
    references=(OWASP_SUPPLY_CHAIN,),
)
LINK_OUTSIDE = Rule(
    id="link-outside",
    title="A link leaves the adapter's folder",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="An entry of the folder is a symbolic link to a place outside it, or not a regular file. It was not followed.",
    why="Loaders follow it and read, or publish, files of your machine.",
    fix="Remove the link. Ask the author for the real file.",
    references=(OWASP_SUPPLY_CHAIN, CWE_UNTRUSTED_INCLUDE),
)
LFS_POINTER = Rule(
    id="lfs-pointer",
    title="A Git LFS pointer stands where a file should be",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="The file holds the address of its content, not the content.",
    why="What will be fetched later was not scanned now.",
    fix="Run `git lfs pull` and scan again.",
)


class CodeProbe:
    """Every file of the folder, by what it is."""

    id = "code"
    title = "Files that can run"
    needs = Need.FILES
    cost = "one read of every file, and the opcodes of each pickle up to 64 MiB"
    rules = (PICKLE_CODE, PICKLE_UNKNOWN, PICKLE_FILE, SCRIPT_FILE, ARCHIVE_FILE, LINK_OUTSIDE, LFS_POINTER)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Raise what is more than data."""
        files = subject.adapter.files
        for file in files:
            yield from self._look(subject.adapter.folder, file)
        yield Coverage(
            probe=self.id,
            what="every file by its real type",
            status=Status.MEASURED,
            surface=f"{len(files)} files, {sum(f.bytes for f in files):,} bytes, each hashed",
            bound="archives are listed, not unpacked",
        )

    def _look(self, folder: Path, file: File) -> Iterator[Finding]:
        name = printable(file.path, 200)
        plain = {
            Kind.SCRIPT: SCRIPT_FILE,
            Kind.EXECUTABLE: SCRIPT_FILE,
            Kind.ARCHIVE: ARCHIVE_FILE,
            Kind.LINK: LINK_OUTSIDE,
            Kind.LFS_POINTER: LFS_POINTER,
        }
        if file.kind in plain:
            rule = plain[file.kind]
            yield Finding(rule=rule.id, message=f"{name} ({file.kind})", severity=rule.severity, location=Location(file=name))
        elif file.kind in (Kind.PICKLE, Kind.TORCH_ZIP) or (file.kind is Kind.BINARY and file.path.endswith((".bin", ".pt", ".pth", ".pkl", ".pickle"))):
            yield self._pickle(folder / file.path, file, name)

    def _pickle(self, path: Path, file: File, name: str) -> Finding:
        where = Location(file=name)
        if file.bytes > LARGEST_PICKLE:
            return Finding(
                rule=PICKLE_UNKNOWN.id, message=f"{name}: {file.bytes:,} bytes, too large to examine", severity=PICKLE_UNKNOWN.severity, location=where
            )
        dangerous: set[str] = set()
        unknown: set[str] = set()
        broken = False
        for data in _pickles(path, file.kind):
            found = scan_pickle_bytes(io.BytesIO(data), name)
            broken = broken or found.scan_err
            for item in found.globals:
                called = f"{item.module}.{item.name}"
                if item.safety is SafetyLevel.Dangerous:
                    (unknown if called in ("__builtin__.getattr", "builtins.getattr") else dangerous).add(called)
                elif item.safety is SafetyLevel.Suspicious and not _left_by_a_trainer(item.module, item.name):
                    unknown.add(called)
        names = tuple(printable(n, 120) for n in sorted(dangerous | unknown))[:20]
        if dangerous:
            return Finding(
                rule=PICKLE_CODE.id, message=f"{name} imports {printable(min(dangerous), 120)}", severity=PICKLE_CODE.severity, location=where, details=names
            )
        if unknown or broken:
            what = f"imports {names[0]}" if names else "its opcodes do not parse"
            return Finding(rule=PICKLE_UNKNOWN.id, message=f"{name}: {what}", severity=PICKLE_UNKNOWN.severity, location=where, details=names)
        return Finding(rule=PICKLE_FILE.id, message=f"{name} ({file.bytes:,} bytes)", severity=PICKLE_FILE.severity, location=where)


def _left_by_a_trainer(module: str, name: str) -> bool:
    """A class, told by its capital, of a training library; never a dotted name, which could reach a module's module."""
    return f"{module}.".startswith(TRAINING_CLASSES) and "." not in name and name[:1].isupper()


def _pickles(path: Path, kind: Kind) -> Iterator[bytes]:
    if kind is not Kind.TORCH_ZIP:
        yield path.read_bytes()
        return
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist()[:10_000]:
                if entry.filename.endswith(".pkl") and entry.file_size <= LARGEST_PICKLE:
                    yield archive.read(entry)
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError):
        yield b"."
