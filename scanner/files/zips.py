"""Zip files opened with a bound on what opening them costs: Python's reader takes the whole directory into memory."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

LOCAL = b"PK\x03\x04"
_LOCAL = struct.Struct("<4s5H3I2H")
LARGEST_DIRECTORY = 32 * 1024 * 1024
MOST_ENTRIES = 100_000
_END, _END64 = struct.Struct("<4s4H2IH"), struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")


def open_zip(file: Path | BinaryIO) -> zipfile.ZipFile:
    """Open the zip that `file` is, or that is at its end. Raises zipfile.BadZipFile when it is none, or over 100,000 entries or 32 MiB of directory."""
    if isinstance(file, Path):
        with file.open("rb") as stream:
            entries, size = _directory(stream)
    else:
        entries, size = _directory(file)
    if entries > MOST_ENTRIES or size > LARGEST_DIRECTORY:
        raise zipfile.BadZipFile(f"a directory of {entries:,} entries and {size:,} bytes, more than is read")
    return zipfile.ZipFile(file)


class Local(NamedTuple):
    """An entry as its own header in front of it says, whatever the directory at the end says."""

    name: str
    data: bytes
    """Unpacked, at most as much as was asked for."""


def local_entry(stream: BinaryIO, offset: int, packed: int, most: int) -> Local | None:
    """The entry whose own header lies at `offset`; None where there is none, or it is packed otherwise than stored or deflated.

    `packed` is the most that it can take in the file. Neither sum, name nor flags are checked: some readers do not.
    Raises zlib.error for what is broken.
    """
    stream.seek(offset)
    header = stream.read(_LOCAL.size)
    if len(header) < _LOCAL.size or not header.startswith(LOCAL):
        return None
    _, _, _, method, _, _, _, said, _, name, extra = _LOCAL.unpack(header)
    title = stream.read(name).decode("utf-8", "replace")
    stream.seek(extra, io.SEEK_CUR)
    data = stream.read(min(said if 0 < said < packed else packed, most))
    if method == zipfile.ZIP_DEFLATED:
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, most)
    return Local(title, data) if method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) else None


def local_offsets(data: bytes, most: int) -> list[int]:
    """Where headers of entries lie in `data`, at most `most` of them."""
    found: list[int] = []
    at = data.find(LOCAL)
    while at >= 0 and len(found) < most:
        found.append(at)
        at = data.find(LOCAL, at + 4)
    return found


def bytes_after(archive: zipfile.ZipFile) -> int:
    """How many bytes follow the end record and its comment."""
    stream = archive.fp
    if stream is None:
        return 0
    length = stream.seek(0, io.SEEK_END)
    start = stream.seek(max(0, length - _END.size - 0xFFFF))
    at = stream.read().rfind(b"PK\x05\x06")
    return max(0, length - start - at - _END.size - len(archive.comment)) if at >= 0 else 0


def _directory(stream: BinaryIO) -> tuple[int, int]:
    """Entries and bytes of the directory, as the last end record says."""
    length = stream.seek(0, io.SEEK_END)
    offset = stream.seek(max(0, length - _END.size - 0xFFFF - _LOCATOR.size))
    tail = stream.read(_END.size + 0xFFFF + _LOCATOR.size)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise zipfile.BadZipFile("no end of a directory")
    _, _, _, _, entries, size, _, _ = _END.unpack_from(tail, at)
    if at >= _LOCATOR.size and tail.startswith(b"PK\x06\x07", at - _LOCATOR.size):
        said = _LOCATOR.unpack_from(tail, at - _LOCATOR.size)[2]
        moved = offset + at - _LOCATOR.size - _END64.size  # by bytes before the zip
        for start in (said, moved):
            stream.seek(min(max(start, 0), length))
            record = stream.read(_END64.size)
            if len(record) == _END64.size and record.startswith(b"PK\x06\x06"):
                _, _, _, _, _, _, _, entries, size, _ = _END64.unpack(record)
                break
    return entries, size
