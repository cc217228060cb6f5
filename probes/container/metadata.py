"""Metadata of weights files read as what it is: text from a stranger, shown by others."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from scanner.files.text import printable

LONGEST = 1 << 20
LARGEST = 4 << 20
_MARKUP = re.compile(r"<\s*(script|iframe|object|embed|svg|img|link|meta|form|base)\b|javascript:|\bon(error|load|click|mouseover)\s*=", re.IGNORECASE)
_CODE = re.compile(
    r"__import__\s*\(|\b(eval|exec|compile)\s*\(|\bos\.(system|popen)\s*\(|\bsubprocess\.\w+\s*\(|__(globals|subclasses|class|mro|builtins)__|\bgASV[A-Za-z0-9+/]{20}"
)
_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def hostile(metadata: dict[str, str]) -> Iterator[str]:
    """What is wrong with each entry, in one printable line."""
    total = sum(len(k) + len(v) for k, v in metadata.items())
    if total > LARGEST:
        yield f"{total:,} characters of metadata"
    for key, value in metadata.items():
        text = f"{key}\n{value}"[:LONGEST]
        label = f"metadata '{printable(key, 60)}'"
        if found := _MARKUP.search(text) or _CODE.search(text):
            yield f"{label} holds {printable(text[found.start() : found.start() + 80], 80)}"
        elif any(_hides(c) for c in text):
            yield f"{label} holds control characters, or some that turn the direction of writing"


def _hides(character: str) -> bool:
    return character in _TURNS or "\U000e0000" <= character <= "\U000e007f" or (unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\r\t")
