"""File names that one system reads as another file, and files whose names differ in nothing that a system or a reader keeps."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import PurePosixPath

from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.measurement import Coverage, Status
from scanner.probe import Need, Yield
from scanner.rule import ATLAS_MASQUERADING, CWE_INTERPRETATION, Basis, Rule, Severity
from scanner.subject import Subject

_READ = re.compile(
    r"adapter_(?:config\.json|model\.(?:safetensors|bin|pt))|config\.json|generation_config\.json|chat_template\.(?:jinja|json)|tokenizer(?:_config)?\.json"
    r"|special_tokens_map\.json|added_tokens\.json|vocab\.(?:json|txt)|merges\.txt|tokenizer\.model|model\.safetensors|pytorch_model\.bin"
)
"""Names that loaders look for."""
_RESERVED = re.compile(r"(?i)(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.[^/]*)?")

UNSAFE = Rule(
    id="file-name-unsafe",
    title="A file name that is not the same everywhere",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="A name ends in a dot or a blank, begins with a dash, holds a backslash, names a device of Windows, or has a stream behind a colon.",
    why="Windows drops the ending, opens the device, or another folder, and a shell takes the dash for an option: two machines then read two files. "
    "A colon elsewhere, as in times of day, counts little.",
    fix="Rename or delete the file before you copy the folder anywhere.",
    references=(ATLAS_MASQUERADING, CWE_INTERPRETATION),
)
TWIN = Rule(
    id="file-name-twin",
    title="Two files with one name",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="Two names in one folder differ only in case or in how letters are encoded, and loaders look for one of them.",
    why="On Windows and macOS the two are one file, so which one is read depends on the machine.",
    fix="Delete the one that you did not expect.",
    references=(ATLAS_MASQUERADING, CWE_INTERPRETATION),
)


class NamesProbe:
    """Names as Windows, macOS, Linux and a shell take them."""

    id = "names"
    title = "File names"
    needs = Need.FILES
    cost = "one pass over the names"
    rules = (UNSAFE, TWIN)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Judge every name once."""
        paths = [f.path for f in subject.adapter.files]
        told = [(path, *found) for path in paths if (found := unsafe(path))]
        for path, why, severity in sorted(told, key=lambda t: (-t[2].level, t[0]))[:20]:
            shown = printable(path, 200)
            yield Finding(rule=UNSAFE.id, message=f"'{shown}' {why}", severity=severity, location=Location(file=shown))
        seen: dict[str, str] = {}
        for path in sorted(paths, key=lambda p: (_READ.fullmatch(PurePosixPath(p).name) is None, p)):
            first = seen.setdefault(unicodedata.normalize("NFKC", path).casefold(), path)
            if first != path:
                severity = TWIN.severity if _READ.fullmatch(PurePosixPath(first).name) else Severity.LOW
                shown, other = printable(path, 160), printable(first, 160)
                yield Finding(rule=TWIN.id, message=f"{shown} beside {other}", severity=severity, location=Location(file=shown))
        yield Coverage(probe=self.id, what="file names on other systems", status=Status.MEASURED, surface=f"{len(paths)} names")


def unsafe(path: str) -> tuple[str, Severity] | None:
    """Why the file at `path` is another one elsewhere, in words, and how bad that is; None where it is not."""
    for part in PurePosixPath(path).parts:
        if "\\" in part:
            return "holds a backslash, which Windows takes for a folder", UNSAFE.severity
        if part != part.rstrip(". "):
            return f"is {printable(part.rstrip('. '), 100)} on Windows", UNSAFE.severity
        if part.startswith("-"):
            return "begins with a dash, which commands take for an option", UNSAFE.severity
        if _RESERVED.fullmatch(part):
            return "names a device of Windows", UNSAFE.severity
        if ":" in part:
            stem = part.partition(":")[0]
            return f"is a stream of {printable(stem, 100)} on Windows", UNSAFE.severity if _READ.fullmatch(stem) else Severity.LOW
    return None
