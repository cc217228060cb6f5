"""Rows of a CSV, JSON or JSON lines file that the user names: bounded, and one line for what is wrong with it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from scanner.errors import ScanError
from scanner.files.text import printable

LARGEST = 64 * 1024 * 1024
MOST = 200_000
Row = dict[str, Any]


def read(path: Path) -> tuple[bytes, list[Row]]:
    """The file's bytes and its rows. A text that begins with `[` is JSON, with `{` JSON lines, else CSV with a header.

    Raises ScanError where it is no such file, is over 64 MiB, or has no row or more than 200,000.
    """
    where = printable(path, 200)
    if not path.is_file():
        raise ScanError(f"{where}: {'not a file' if path.exists() else 'no such file'}")
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        raise ScanError(f"{where}: cannot be read ({error.strerror})") from None
    if len(data) > LARGEST:
        raise ScanError(f"{where}: over {LARGEST:,} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScanError(f"{where}: not UTF-8 at byte {error.start}") from None
    try:
        rows = list(_rows(text))
    except (msgspec.DecodeError, csv.Error, RecursionError) as error:
        raise ScanError(f"{where}: {printable(error, 160)}") from None
    if not rows:
        raise ScanError(f"{where}: holds no row")
    if len(rows) > MOST:
        raise ScanError(f"{where}: more than {MOST:,} rows")
    return data, rows


def _rows(text: str) -> Iterator[Row]:
    start = text.lstrip()[:1]
    if start == "[":
        yield from msgspec.json.decode(text, type=list[Row])
    elif start == "{":
        yield from msgspec.json.Decoder(Row).decode_lines(text)
    else:
        yield from csv.DictReader(io.StringIO(text, newline=""), strict=True)
