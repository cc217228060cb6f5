"""Metadata of weights files read as what it is: text from a stranger, shown by others."""

from __future__ import annotations

import base64
import io
import re
import unicodedata
from collections.abc import Iterator

from probes.config.dangers import imports
from scanner.files.kinds import HEAD, Kind, kind_of
from scanner.files.strict_json import BadJson, load_object
from scanner.files.text import printable
from scanner.rule import Severity

LONGEST = 1 << 20
LONG = 1 << 20
TRAINERS = ("ss_", "modelspec.")
"""What kohya's trainer and model specifications write, which can be long."""
MOST_RUNS = 20
LONGEST_RUN = 64 * 1024
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])(?:gA[I-V]|UEsDB|f0VMR|H4sI|TVqQ|KLUv|N3q8)[A-Za-z0-9+/_-]{12,}={0,2}")
"""Base64 of what begins like a pickle, a zip, a program or a packed stream."""
_ADDRESSED = re.compile(
    r"(?i)\b(?:ignore|disregard|forget)\s+(?:all\s+|any\s+)?(?:of\s+)?(?:the\s+|your\s+)?(?:previous|prior|above|earlier|preceding)\s+(?:instruction|prompt|rule|message|finding)s?"
)
LARGEST = 4 << 20
_MARKUP = re.compile(r"<\s*(script|iframe|object|embed|svg|img|link|meta|form|base)\b|javascript:|\bon(error|load|click|mouseover)\s*=", re.IGNORECASE)
_CODE = re.compile(
    r"__import__\s*\(|\b(eval|exec|compile)\s*\(|\bos\.(system|popen)\s*\(|\bsubprocess\.\w+\s*\(|__(globals|subclasses|class|mro|builtins)__|\bgASV[A-Za-z0-9+/]{20}"
)
_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def hostile(metadata: dict[str, str]) -> Iterator[tuple[Severity, str]]:
    """What is wrong with each entry, in one printable line, and how bad it is."""
    total = sum(len(k) + len(v) for k, v in metadata.items())
    if total > LARGEST:
        yield Severity.MEDIUM, f"{total:,} characters of metadata"
    for key, value in metadata.items():
        text = f"{key}\n{value}"[:LONGEST]
        label = f"metadata '{printable(key, 60)}'"
        for severity, what in _judged(key, value, text):
            yield severity, f"{label} {what}"


def _judged(key: str, value: str, text: str) -> Iterator[tuple[Severity, str]]:
    if found := _MARKUP.search(text) or _CODE.search(text):
        yield Severity.MEDIUM, f"holds {printable(text[found.start() : found.start() + 80], 80)}"
    elif any(_hides(c) for c in text):
        yield Severity.MEDIUM, "holds control characters, or some that turn the direction of writing"
    elif what := _packed(text):
        yield Severity.MEDIUM, f"holds {what} in base64"
    elif found := _ADDRESSED.search(text):
        yield Severity.MEDIUM, f"addresses a model that reads it: {printable(text[found.start() : found.start() + 80], 80)}"
    elif value.startswith("{") and (claim := _configuration(value)):
        yield Severity.MEDIUM, f"is a configuration: {claim}"
    elif len(value) >= LONG and not key.startswith(TRAINERS):
        yield Severity.LOW, f"is {len(value):,} characters long"


def _packed(text: str) -> str:
    """What a run of base64 unpacks to, where that is a file which runs or is packed again; or an empty string."""
    for run in list(_BASE64.finditer(text))[:MOST_RUNS]:
        encoded = run[0][: len(run[0]) // 4 * 4][:LONGEST_RUN].replace("-", "+").replace("_", "/")
        try:
            data = base64.b64decode(encoded)
        except ValueError:
            continue
        kind = kind_of("", data[:HEAD], io.BytesIO(data))
        if kind in (Kind.PICKLE, Kind.EXECUTABLE, Kind.ARCHIVE, Kind.TORCH_ZIP):
            return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
    return ""


def _configuration(value: str) -> str:
    """What a configuration written into the metadata, as diffusers does it, asks the loader to import; or an empty string."""
    try:
        written, _ = load_object(value.encode("utf-8", "replace"), LONGEST)
    except BadJson:
        return ""
    claim = next(iter(imports({k.rpartition(".")[2]: v for k, v in written.items()})), None)
    return claim.message if claim else ""


def _hides(character: str) -> bool:
    return character in _TURNS or "\U000e0000" <= character <= "\U000e007f" or (unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\r\t")
