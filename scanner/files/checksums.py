"""Lists of SHA-256 sums, as sha256sum and shasum write them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from scanner.errors import ScanError
from scanner.files.text import printable

LONGEST_LINE = 4096
_GNU = re.compile(r"\\?([0-9a-fA-F]{64})(?:[ \t]+\*?(.*))?")
_BSD = re.compile(r"SHA256 ?\((.*)\) ?= ?([0-9a-fA-F]{64})")


class Sum(msgspec.Struct, frozen=True):
    """One line: a SHA-256 in lower-case hex, and the name beside it, which may be empty."""

    sha256: str
    name: str


def read(path: Path) -> Iterator[Sum]:
    """Every line of `path`; blank lines and lines that begin with `#` are skipped. Memory does not grow with the file.

    Raises ValueError, with one line that names the place, for a line of another form; OSError when the file cannot be read.
    """
    with path.open("rb") as stream:
        number = 0
        while line := stream.readline(LONGEST_LINE):
            number += 1
            text = line.decode("utf-8", "replace").strip().removeprefix("\ufeff")
            if not text or text.startswith("#"):
                continue
            found = parse(text)
            if found is None:
                raise ValueError(f"line {number} is not `SHA-256  name`: {printable(text, 60)}")
            yield found


def parse(line: str) -> Sum | None:
    """The sum in one line of either form, or None."""
    if gnu := _GNU.fullmatch(line):
        return Sum(gnu[1].lower(), gnu[2] or "")
    if bsd := _BSD.fullmatch(line):
        return Sum(bsd[2].lower(), bsd[1])
    return None


def hits(lists: tuple[Path, ...], wanted: set[str]) -> dict[str, Sum]:
    """Those of `wanted` (hex SHA-256) that are on one of `lists`, with the line that names them; time grows with the lists, memory does not.

    Raises ScanError when a list cannot be read.
    """
    found: dict[str, Sum] = {}
    for path in lists:
        try:
            for line in read(path):
                if line.sha256 in wanted:
                    found.setdefault(line.sha256, line)
        except (ValueError, OSError) as error:
            raise ScanError(f"{printable(path)}: {printable(getattr(error, 'strerror', None) or error)}") from None
    return found
