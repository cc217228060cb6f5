"""The pack as a zip of a few stored files, written the same way every time and read without trust."""

from __future__ import annotations

import io
import stat
import unicodedata
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from scanner.errors import ScanError
from scanner.files.text import printable
from scanner.files.zips import open_zip

MOST_FILES = 500
LARGEST = 256 * 1024 * 1024
"""Bytes of the archive, and of everything in it together."""
_CHUNK = 1024 * 1024
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write(files: Mapping[str, bytes]) -> bytes:
    """A zip of `files` by path, in path order, uncompressed and without times: equal files give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(files):
            info = zipfile.ZipInfo(path, _EPOCH)
            info.create_system = 3
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, files[path])
    return buffer.getvalue()


def is_archive(path: Path) -> bool:
    """Whether the file begins like a zip."""
    try:
        with path.open("rb") as stream:
            return stream.read(4) == b"PK\x03\x04"
    except OSError:
        return False


def read(path: Path) -> dict[str, bytes]:
    """Every file of the archive by path.

    Raises ScanError with one line when it is no zip, is too large, holds a path that leaves it, two files of one path, a link, or
    anything encrypted or damaged.
    """
    try:
        if path.exists() and not path.is_file():
            raise ScanError(f"{printable(path)}: not a file")
        if path.stat().st_size > LARGEST:
            raise ScanError(f"{printable(path)}: over {LARGEST:,} bytes")
        with open_zip(path) as archive:
            return _files(archive, path)
    except ScanError:
        raise
    except OSError as error:
        raise ScanError(f"{printable(path)}: cannot be read ({error.strerror or printable(error, 120)})") from None
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, RuntimeError, OverflowError) as error:
        raise ScanError(f"{printable(path)}: not a pack ({printable(error, 160)})") from None
    except Exception as error:  # the decompressors raise errors of their own
        raise ScanError(f"{printable(path)}: not a pack ({type(error).__name__}: {printable(error, 120)})") from None


def _files(archive: zipfile.ZipFile, path: Path) -> dict[str, bytes]:
    entries = archive.infolist()
    if len(entries) > MOST_FILES:
        raise ScanError(f"{printable(path)}: {len(entries):,} files, more than the {MOST_FILES} of any pack")
    found: dict[str, bytes] = {}
    left = LARGEST
    for entry in entries:
        name = entry.filename
        problem = _problem(entry, name in found)
        if problem:
            raise ScanError(f"{printable(path)}: {printable(name, 120)}: {problem}")
        parts = []
        with archive.open(entry) as stream:
            while chunk := stream.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise ScanError(f"{printable(path)}: its files are over {LARGEST:,} bytes together")
                parts.append(chunk)
        found[name] = b"".join(parts)
    return found


def _problem(entry: zipfile.ZipInfo, twice: bool) -> str:
    """Why an entry does not belong into a pack, or nothing."""
    name, path = entry.filename, PurePosixPath(entry.filename)
    if not name or name != path.as_posix() or path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        return "a path that a pack does not have"
    if any(unicodedata.category(c)[0] in "CZ" for c in name):
        return "a path with spaces or control characters"
    if twice:
        return "there twice"
    if entry.flag_bits & 0x1:
        return "encrypted"
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if entry.is_dir() or kind not in (0, stat.S_IFREG):
        return "a folder or a link, not a file"
    if entry.file_size > LARGEST:
        return f"over {LARGEST:,} bytes"
    return ""
