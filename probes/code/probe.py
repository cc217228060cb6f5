"""Every file of the adapter, by what it is, and what is in it. Nothing is unpickled; opcodes are read."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from probes.code import git, rules
from probes.code.carving import carved, npy_pickle
from probes.code.models import model_code
from probes.code.pickles import Judgement, Level, judge, level
from probes.code.recipes import recipes
from probes.code.remote import remote_code
from scanner.files.contents import Odd, Part, contents
from scanner.files.inventory import File
from scanner.files.kinds import Kind
from scanner.files.pickle_imports import Imports, imports
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.measurement import Coverage, Status
from scanner.probe import Need, Yield
from scanner.rule import Rule
from scanner.subject import Subject

PICKLE_NAMES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".th", ".dill", ".sav")
_RUNS = {Kind.SCRIPT: rules.SCRIPT_FILE, Kind.NOTEBOOK: rules.NOTEBOOK_FILE, Kind.EXECUTABLE: rules.EXECUTABLE_FILE}


class CodeProbe:
    """Every file, and every entry of every archive, by what it is."""

    id = "code"
    title = "Files that can run"
    needs = Need.FILES
    cost = "one read of every file but the weights; the opcodes of each pickle; at most 512 MiB unpacked of each archive"
    rules = rules.RULES

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Raise what is more than data."""
        adapter = subject.adapter
        for file in adapter.files:
            yield from _look(adapter.root / file.path, file)
        yield from git.runs(adapter.root, (*adapter.files, *adapter.aside.files))
        for file in adapter.aside.files:
            yield from _look_aside(adapter.root / file.path, file)
        for entry in adapter.unpacked.refused if adapter.unpacked else ():
            yield _finding(rules.ARCHIVE_ENTRY, adapter.name, entry)
        pointers, left = sum(f.kind is Kind.LFS_POINTER for f in adapter.files), adapter.aside.left
        why = [f"{pointers} of {len(adapter.files)} files are Git LFS pointers, whose content is not here"] if pointers else []
        why += [f"{left:,} files of .git are beyond the limit and were not looked into"] if left else []
        yield Coverage(
            probe=self.id,
            what="every file by its real type",
            status=Status.NOT_MEASURED if why else Status.MEASURED,
            surface=f"{len(adapter.files)} files, {sum(f.bytes for f in adapter.files):,} bytes, each hashed"
            + (f"; {len(adapter.aside.files):,} files of .git, not hashed and without its packed objects" if adapter.aside.files else ""),
            bound="a script is told and not judged; a picture or an unknown format can hold what only its own reader would run",
            why="; ".join(why),
        )


def _look_aside(path: Path, file: File) -> Iterator[Finding]:
    """What nobody's Git keeps in a `.git` folder, and a path that leads there would load: pickles that run code, scripts, code that a configuration names."""
    hook = PurePosixPath(file.path).parent.name == "hooks"
    if file.kind is Kind.JSON:
        yield from remote_code(path, file)
    elif file.bytes and file.kind is not Kind.LINK:
        yield from (f for f in _contents(path, file) if f.rule == rules.PICKLE_CODE.id or (f.rule == rules.SCRIPT_FILE.id and not hook))


def _look(path: Path, file: File) -> Iterator[Finding]:
    if any(unicodedata.category(c) == "Cf" for c in file.path):
        yield _finding(rules.FILE_NAME, file.path, f"shown as {printable(file.path, 120)}")
    if file.kind is Kind.LINK:
        yield _finding(rules.LINK_OUTSIDE, file.path, str(file.kind))
    elif file.kind is Kind.LFS_POINTER:
        yield _finding(rules.LFS_POINTER, file.path, str(file.kind))
    elif file.kind is Kind.JSON:
        yield from remote_code(path, file)
    elif file.bytes:
        yield from _contents(path, file)
    if file.bytes:
        yield from recipes(path, file)


def _contents(path: Path, file: File) -> Iterator[Finding]:
    """At most one finding a rule for one file; an archive with nothing in it that runs is told as such."""
    told: dict[str, Finding] = {}
    for part in contents(path, file.path, file.kind):
        for finding in _odd(part, file) if isinstance(part, Odd) else _part(part, file):
            before = told.get(finding.rule)
            details = (*(before.details if before else ()), *(finding.details or (finding.message,)))
            first = before or finding
            told[finding.rule] = Finding(
                rule=first.rule,
                message=first.message,
                severity=max(first.severity, finding.severity, key=lambda s: s.level),
                location=first.location,
                details=details[:20],
            )
    if file.kind is Kind.ARCHIVE and not set(told) & {rules.ARCHIVE_UNREAD.id, rules.ARCHIVE_ENTRY.id}:
        told[rules.ARCHIVE_FILE.id] = _finding(rules.ARCHIVE_FILE, file.path, f"{file.bytes:,} bytes")
    if set(told) & {rules.PICKLE_CODE.id, rules.PICKLE_UNKNOWN.id}:
        told.pop(rules.PICKLE_FILE.id, None)
    yield from told.values()


def _odd(odd: Odd, file: File) -> Iterator[Finding]:
    yield _finding(rules.ARCHIVE_ENTRY if odd.hostile else rules.ARCHIVE_UNREAD, file.path, f"{odd.path}: {odd.what}")


def _part(part: Part, file: File) -> Iterator[Finding]:
    inner = part.path.rsplit("!", 1)[-1]
    shown = printable(part.path, 200)
    if part.follows:
        yield _finding(rules.POLYGLOT, file.path, f"{shown} is {_article(part.kind)}")
    if rule := _RUNS.get(part.kind):
        yield _finding(rule, file.path, f"{shown} ({part.kind})")
    yield from model_code(part, file.path)
    named = inner.lower().endswith(PICKLE_NAMES)
    judged, carries = _pickle(part, named)
    if judged is None:
        return
    details = tuple(printable(n, 120) for n in judged.names[:20])
    what = f"{shown}: " if part.path != file.path else ""
    if judged.level is Level.DANGEROUS:
        yield _finding(rules.PICKLE_CODE, file.path, f"{what}imports {details[0]}{' (in bytes that are no part of it)' if carries else ''}", details)
    elif judged.level is Level.UNKNOWN:
        yield _finding(rules.PICKLE_UNKNOWN, file.path, f"{what}{details[0]}", details)
    elif part.kind in (Kind.PICKLE, Kind.TORCH_ZIP, Kind.NUMPY) or (named and part.kind is Kind.BINARY):
        yield _finding(rules.PICKLE_FILE, file.path, f"{what}{len(part.data):,} bytes of pickle")


def _pickle(part: Part, named: bool) -> tuple[Judgement | None, bool]:
    """What the part imports as a pickle, None where it is none; and whether that pickle is hidden in something else."""
    data = npy_pickle(part.data) if part.kind is Kind.NUMPY else part.data
    if data is None or part.kind in (Kind.SAFETENSORS, Kind.GGUF, Kind.JSON, Kind.EXECUTABLE, Kind.EMPTY):
        return None, False
    found = imports(data)
    if part.kind in (Kind.PICKLE, Kind.NUMPY) or named:
        if not part.whole and not found.bytes:
            found.problem = found.problem or f"over {len(part.data):,} bytes, the rest was not examined"
        judged = judge(found)
        damaged = not part.checked and not any(level(n) is Level.DANGEROUS and n.module != "unknown" for n in found.names)
        return (Judgement(min(judged.level, Level.UNKNOWN), judged.names) if damaged else judged), False
    judged = judge(found)
    if judged.level is Level.DANGEROUS and _told(found):
        return judged, False
    hidden = carved(part)
    return (judge(hidden), True) if hidden else (None, False)


def _told(found: Imports) -> bool:
    """Whether at least one of the imports is written plainly, as in no text by chance."""
    return any(n.module != "unknown" for n in found.names)


def _article(kind: Kind) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _finding(rule: Rule, path: str, message: str, details: tuple[str, ...] = ()) -> Finding:
    name = printable(path, 200)
    text = message if message.startswith(name) else f"{name}: {message}"
    return Finding(rule=rule.id, message=text, severity=rule.severity, location=Location(file=name), details=details)
