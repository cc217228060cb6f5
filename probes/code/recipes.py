"""Files that are no scripts and make a tool run or fetch something: editor tasks, build files, YAML objects, pages with scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from probes.code.pickles import Level, level
from probes.code.rules import PAGE_SCRIPT, YAML_OBJECT
from probes.code.tools import TOOLS
from scanner.files.inventory import File
from scanner.files.kinds import Kind
from scanner.files.pickle_imports import Import
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.rule import Severity

LARGEST = 1 << 20
_NAMED = tuple((rule, re.compile(path, re.IGNORECASE), re.compile(content), what) for rule, path, content, what in TOOLS)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_ESCAPE = re.compile(r"\\u00([2-7][0-9a-fA-F])")
"""A character of ASCII as JSON may spell it."""
_YAML = re.compile(
    r"!!?(?:<tag:yaml\.org,2002:)?python/(object/apply|object/new|object|name|module):([\w.]{1,200})|!<tag:yaml\.org,2002:python/(object/apply|object/new|object|name|module):([\w.]{1,200})>"
)


def recipes(path: Path, file: File) -> Iterator[Finding]:
    """Findings about a file that a tool goes by, of which at most 1 MiB is read."""
    yaml = file.path.lower().endswith((".yaml", ".yml"))
    named = [(rule, content, what) for rule, name, content, what in _NAMED if name.fullmatch(file.path)]
    if not named and not (yaml and file.kind in (Kind.TEXT, Kind.JSON, Kind.SCRIPT)):
        return
    with path.open("rb") as stream:
        data = stream.read(LARGEST)
    text = data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig", "replace")
    if file.kind is Kind.JSON or path.suffix.lower() == ".json":
        text = _ESCAPE.sub(lambda e: chr(int(e[1], 16)), text)
    shown = printable(file.path, 200)
    for rule, content, what in named:
        if found := content.search(text):
            line = text.count("\n", 0, found.start()) + 1
            yield Finding(rule=rule.id, message=f"{shown}: {what}", severity=rule.severity, location=Location(file=shown, item=f"line {line}"))
        elif file.bytes > LARGEST and rule is not PAGE_SCRIPT:
            message = f"{shown}: {file.bytes:,} bytes, more than was examined, in the place of {what}"
            yield Finding(rule=rule.id, message=message, severity=rule.severity, location=Location(file=shown))
    if yaml and (objects := _objects(text)):
        severity, name = max(objects, key=lambda o: o[0].level)
        names = tuple(printable(n, 120) for _, n in objects[:20])
        yield Finding(
            rule=YAML_OBJECT.id,
            message=f"{shown}: names {printable(name, 120)}",
            severity=severity,
            location=Location(file=shown, item=printable(name, 80)),
            details=names,
        )


def _objects(text: str) -> list[tuple[Severity, str]]:
    """How bad each Python object is that the YAML asks a loader to make: `os.system` as bad as in a pickle, what trainers write little."""
    found = []
    for match in list(_YAML.finditer(text))[:1000]:
        called, name = match[1] or match[3], match[2] or match[4]
        module, _, last = name.rpartition(".")
        how = level(Import(module, last)) if called != "module" and module else Level.EXPECTED
        severity = {Level.EXPECTED: Severity.LOW, Level.UNKNOWN: Severity.MEDIUM, Level.DANGEROUS: Severity.HIGH}[how]
        found.append((severity if called.startswith("object/") else min(severity, YAML_OBJECT.severity, key=lambda s: s.level), name))
    return found
