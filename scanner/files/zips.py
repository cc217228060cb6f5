"""Zip files opened with a bound on what opening them costs: Python's reader takes the whole directory into memory."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

LARGEST_DIRECTORY = 32 * 1024 * 1024
MOST_ENTRIES = 100_000
_END, _END64 = struct.Struct("<4s4H2IH"), struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open the zip at `path`, or at its end. Raises zipfile.BadZipFile when it is none, or over 100,000 entries or 32 MiB of directory."""
    entries, size = _directory(path)
    if entries > MOST_ENTRIES or size > LARGEST_DIRECTORY:
        raise zipfile.BadZipFile(f"a directory of {entries:,} entries and {size:,} bytes, more than is read")
    return zipfile.ZipFile(path)


def _directory(path: Path) -> tuple[int, int]:
    """Entries and bytes of the directory, as the last end record says."""
    length = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, length - _END.size - 0xFFFF - _LOCATOR.size))
        offset, tail = stream.tell(), stream.read(_END.size + 0xFFFF + _LOCATOR.size)
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) - at < _END.size:
            raise zipfile.BadZipFile("no end of a directory")
        _, _, _, _, entries, size, _, _ = _END.unpack_from(tail, at)
        if at >= _LOCATOR.size and tail.startswith(b"PK\x06\x07", at - _LOCATOR.size):
            stream.seek(_LOCATOR.unpack_from(tail, at - _LOCATOR.size)[2])
            record = stream.read(_END64.size)
            if len(record) == _END64.size and record.startswith(b"PK\x06\x06"):
                _, _, _, _, _, _, _, entries, size, _ = _END64.unpack(record)
            else:
                stream.seek(offset + at - _LOCATOR.size - _END64.size)  # moved by bytes before the zip
                record = stream.read(_END64.size)
                if len(record) == _END64.size and record.startswith(b"PK\x06\x06"):
                    _, _, _, _, _, _, _, entries, size, _ = _END64.unpack(record)
    return entries, size
