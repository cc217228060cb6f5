"""Fields of JSON files that make a loader run Python code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from probes.code.rules import REMOTE_CODE
from scanner.files.inventory import File
from scanner.files.strict_json import BadJson, load_object
from scanner.files.text import printable
from scanner.finding import Finding, Location

LARGEST = 4 << 20
FIELDS = ("auto_map", "custom_pipelines", "trust_remote_code")
JUDGED_ELSEWHERE = ("adapter_config.json", "tokenizer_config.json")


def remote_code(path: Path, file: File) -> Iterator[Finding]:
    """A finding where the JSON file sets one of these fields, at any depth."""
    if path.name in JUDGED_ELSEWHERE or file.bytes > LARGEST:
        return
    try:
        written, _ = load_object(path.read_bytes(), LARGEST)
    except (OSError, BadJson):
        return
    found = sorted(_fields(written))
    if found:
        name = printable(file.path, 200)
        message = f"{name}: {', '.join(f'{k} is {printable(v, 80)}' for k, v in found)}"
        yield Finding(rule=REMOTE_CODE.id, message=message, severity=REMOTE_CODE.severity, location=Location(file=name, item=found[0][0]))


def _fields(value: Any) -> set[tuple[str, str]]:
    if isinstance(value, dict):
        here = {(k, str(v)[:200]) for k, v in value.items() if k in FIELDS and v}
        return here.union(*(_fields(v) for v in value.values()))
    return set().union(*map(_fields, value)) if isinstance(value, list) else set()
