"""Files that can run: pickles, scripts, executables, archives, links. Nothing is unpickled; opcodes are read."""

from __future__ import annotations

import io
import re
import zipfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from picklescan.scanner import SafetyLevel, scan_pickle_bytes

from scanner.files.inventory import File, Kind
from scanner.files.opcodes import opcodes
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
MOST_OPCODES = 5_000_000
PICKLE_NAMES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".th")
TRAINING_CLASSES = ("transformers.", "accelerate.", "trl.", "peft.", "torch.")
"""Packages whose classes, named in a pickle, are what trainers leave behind."""
TRAINING_NAMES = {
    "torch.device", "torch.bfloat16", "torch.float16", "torch.float32", "torch.float64", "torch.int64", "torch.int32", "torch.uint8", "torch.bool",
    "_codecs.encode", "builtins.set", "__builtin__.set", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar",
}  # fmt: skip
"""Other names of theirs, none of which does more than build a value."""

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
            yield from self._look(subject.adapter.root, file)
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
        if file.kind in (Kind.PICKLE, Kind.TORCH_ZIP) or (file.bytes and file.path.lower().endswith(PICKLE_NAMES) and file.kind is not Kind.LFS_POINTER):
            found = self._pickle(folder / file.path, file, name)
            if found.rule != PICKLE_FILE.id or file.kind in (Kind.PICKLE, Kind.TORCH_ZIP, Kind.BINARY):
                yield found

    def _pickle(self, path: Path, file: File, name: str) -> Finding:
        where = Location(file=name)
        imports: set[tuple[str, str]] = set()
        problem = ""
        try:
            for data in _pickles(path):
                _imports(data, imports)
        except _Unexamined as error:
            problem = str(error)
        dangerous: set[str] = set()
        unknown: set[str] = set()
        listed = "".join(f"c{module}\n{attribute}\n" for module, attribute in sorted(imports))
        for item in scan_pickle_bytes(io.BytesIO(f"{listed}.".encode()), name).globals:
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
        if unknown or problem:
            what = f"imports {names[0]}" if names else problem
            return Finding(rule=PICKLE_UNKNOWN.id, message=f"{name}: {what}", severity=PICKLE_UNKNOWN.severity, location=where, details=names)
        return Finding(rule=PICKLE_FILE.id, message=f"{name} ({file.bytes:,} bytes)", severity=PICKLE_FILE.severity, location=where)


def _left_by_a_trainer(module: str, name: str) -> bool:
    """A class, told by its capital, of a training library; never a dotted name, which could reach a module's module."""
    return f"{module}.{name}" in TRAINING_NAMES or (f"{module}.".startswith(TRAINING_CLASSES) and "." not in name and name[:1].isupper())


class _Unexamined(Exception):
    """A pickle, or a part of it, that could not be read to its end."""


def _imports(data: bytes, found: set[tuple[str, str]]) -> None:
    """Add the names that the pickles in `data` import; a name that is not written plainly is `unknown`. Keeps no list of opcodes."""
    stream, seen, first = io.BytesIO(data), 0, True
    while stream.tell() < len(data):
        memo: dict[int, str | None] = {}
        top: deque[str | None] = deque([None, None], maxlen=2)
        try:
            for name, argument in opcodes(stream):
                seen += 1
                if seen > MOST_OPCODES:
                    raise _Unexamined(f"more than {MOST_OPCODES:,} opcodes, the rest was not examined")
                if name in ("GLOBAL", "INST"):
                    module, _, attribute = str(argument).partition(" ")
                    found.add(_plain(module, attribute))
                elif name == "STACK_GLOBAL":
                    found.add(_plain(*top))
                elif name in ("EXT1", "EXT2", "EXT4"):
                    found.add(("unknown", "unknown"))
                elif name == "MEMOIZE":
                    memo[len(memo)] = top[-1]
                    continue
                elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
                    if isinstance(argument, int):
                        memo[argument] = top[-1]
                    continue
                if name in ("GET", "BINGET", "LONG_BINGET"):
                    top.append(memo.get(argument) if isinstance(argument, int) else None)
                else:
                    top.append(argument if name.endswith(("UNICODE", "UNICODE8", "STRING")) and isinstance(argument, str) else None)
        except _Unexamined:
            raise
        except Exception:  # the rest is not a pickle; torch's old format keeps raw numbers there
            if first and found:
                raise _Unexamined("its opcodes do not parse") from None
            return
        first = False


def _plain(module: str | None, attribute: str | None) -> tuple[str, str]:
    if module and attribute and re.fullmatch(r"[\w.<>-]+", f"{module}{attribute}", re.ASCII):
        return module, attribute
    return "unknown", "unknown"


def _pickles(path: Path) -> Iterator[bytes]:
    """The file itself unless it begins as a zip, and the pickles in the zip it is or ends with. Raises _Unexamined."""
    with path.open("rb") as stream:
        raw = stream.read(LARGEST_PICKLE)
        cut = bool(stream.read(1))
    zipped = zipfile.is_zipfile(path)
    if not raw.startswith(b"PK"):
        yield raw
    left = LARGEST_PICKLE
    if zipped:
        try:
            with zipfile.ZipFile(path) as archive:
                for entry in archive.infolist():
                    if entry.filename.endswith(".pkl"):
                        with archive.open(entry) as packed:
                            data = packed.read(left + 1)
                        yield data
                        left -= len(data)
                        if left < 0:
                            raise _Unexamined(f"over {LARGEST_PICKLE:,} bytes of pickle, the rest was not examined")
        except _Unexamined:
            raise
        except Exception as error:  # zipfile and its decompressors raise many kinds
            raise _Unexamined(f"its zip cannot be read ({printable(error, 80)})") from None
    if cut and not raw.startswith(b"PK"):
        raise _Unexamined(f"over {LARGEST_PICKLE:,} bytes, the rest was not examined")
