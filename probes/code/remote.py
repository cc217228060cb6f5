"""Fields of JSON files that make a loader run Python code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from probes.code.pickles import Level, level
from probes.code.rules import REMOTE_CODE
from scanner.files.inventory import File
from scanner.files.pickle_imports import Import
from scanner.files.strict_json import BadJson, load_object
from scanner.files.text import printable
from scanner.finding import Finding, Location

LARGEST = 4 << 20
FIELDS = ("auto_map", "custom_pipelines", "trust_remote_code")
JUDGED_ELSEWHERE = ("adapter_config.json", "tokenizer_config.json")


def remote_code(path: Path, file: File) -> Iterator[Finding]:
    """A finding where the JSON file sets one of these fields, at any depth, or names a dangerous class as what to load."""
    if path.name in JUDGED_ELSEWHERE:
        return
    name = printable(file.path, 200)
    if file.bytes > LARGEST:
        if path.name.endswith("config.json"):
            yield _finding(name, f"{name}: {file.bytes:,} bytes, more than was examined", "")
        return
    try:  # as the one value of an object, so that a list is read by the same rules
        written, _ = load_object(b'{"": ' + path.read_bytes().removeprefix(b"\xef\xbb\xbf") + b"}", LARGEST + 16)
    except (OSError, BadJson):
        return
    found = sorted(_fields(written)) or sorted(_classes(path.name, written[""]))
    if found:
        yield _finding(name, f"{name}: {', '.join(f'{printable(k, 80)} is {printable(v, 80)}' for k, v in found[:20])}", found[0][0])


def _finding(name: str, message: str, item: str) -> Finding:
    return Finding(rule=REMOTE_CODE.id, message=message, severity=REMOTE_CODE.severity, location=Location(file=name, item=printable(item, 80)))


def _classes(name: str, written: Any) -> Iterator[tuple[str, str]]:
    """Parts of a pipeline whose class sentence-transformers (`modules.json`) or diffusers (`model_index.json`) imports by name, and that can run commands."""
    parts: list[tuple[str, str]] = []
    if name == "modules.json" and isinstance(written, list):
        parts = [(f"type of {m.get('name')}", m["type"]) for m in written if isinstance(m, dict) and isinstance(m.get("type"), str)]
    elif name == "model_index.json" and isinstance(written, dict):
        parts = [(k, ".".join(v)) for k, v in written.items() if isinstance(v, list) and all(isinstance(t, str) for t in v)]
    for part, called in parts:
        module, _, last = called.rpartition(".")
        if module and level(Import(module, last)) is Level.DANGEROUS:
            yield part, called


def _fields(value: Any) -> set[tuple[str, str]]:
    if isinstance(value, dict):
        here = {(k, str(v)[:200]) for k, v in value.items() if k in FIELDS and v}
        return here.union(*(_fields(v) for v in value.values()))
    return set().union(*map(_fields, value)) if isinstance(value, list) else set()
