"""An upload in one zip or tar, unpacked into a private folder that is removed with it: bounded, and nothing leaves the folder."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import stat
import tarfile
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from scanner.errors import UnreadableAdapter
from scanner.files.kinds import LZMA_MEMORY
from scanner.files.text import printable
from scanner.files.zips import open_zip

MOST_ENTRIES = 5_000
LARGEST = 32 << 30
FREE = 512 << 20
"""Bytes that may be unpacked whatever the ratio: an adapter of zeros is honest."""
STEEPEST = 100
"""Bytes unpacked for each byte of the upload, beyond the free ones."""
DEEPEST = 16
LONGEST_NAME = 255
PIECE = 1 << 20
_PACKED: tuple[tuple[bytes, Callable[[IO[bytes]], Any]], ...] = (
    (b"\x1f\x8b", lambda f: gzip.GzipFile(fileobj=f)),
    (b"BZh", lambda f: bz2.BZ2File(f)),
    (b"\xfd7zXZ\0", lambda f: LinearXz(f)),
)
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, NotImplementedError, RuntimeError, ValueError, OverflowError)


class Unpacked:
    """A private folder with the files of an upload; it is removed when this object goes, or at the end of the program."""

    def __init__(self, upload: Path) -> None:
        """Unpack `upload`. Raises UnreadableAdapter for what is no readable zip or tar, is encrypted, or grows beyond its bounds."""
        self.folder = Path(tempfile.mkdtemp(prefix="unmask-"))
        self._remove = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.refused: list[str] = []
        """Entries that were not unpacked, each with the reason, fit to print."""
        self._names: dict[str, str] = {}
        self._left = min(LARGEST, FREE + STEEPEST * upload.stat().st_size)
        where = printable(upload.name)
        try:
            for number, (name, problem, open_entry) in enumerate(_entries(upload)):
                if number >= MOST_ENTRIES:
                    raise UnreadableAdapter(f"{where}: more than {MOST_ENTRIES:,} entries")
                problem = problem or self._problem(name)
                if problem:
                    self.refused.append(f"{printable(name, 120)}: {problem}")
                elif open_entry is not None:
                    self._write(name, open_entry, where)
        except UnreadableAdapter:
            self.close()
            raise
        except _BROKEN as error:
            self.close()
            raise UnreadableAdapter(f"{where}: cannot be unpacked ({printable(error, 80) or type(error).__name__})") from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove the folder now."""
        self._remove()

    def _problem(self, name: str) -> str:
        """Why the entry must not be unpacked, or an empty string."""
        problem = entry_problem(name)
        if problem:
            return problem
        path = PurePosixPath(name)
        for part in (path, *path.parents[:-1]):
            written = self._names.setdefault(str(part).casefold(), str(part))
            if written != str(part):
                return f"differs from {printable(written, 80)} in case alone"
        if (self.folder / path).is_file() or any((self.folder / p).is_file() for p in path.parents[:-1]):
            return "a second entry of the same name: unpackers disagree about it"
        return ""

    def _write(self, name: str, open_entry: Callable[[], IO[bytes]], where: str) -> None:
        target = self.folder / PurePosixPath(name)
        if target.is_dir():
            self.refused.append(f"{printable(name, 120)}: a file where a folder is")
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with open_entry() as source, target.open("xb") as stream:
            while data := source.read(PIECE):
                self._left -= len(data)
                if self._left < 0:
                    raise UnreadableAdapter(f"{where}: grows to more than {STEEPEST} times its size, a decompression bomb")
                stream.write(data)


def entry_problem(name: str) -> str:
    """Why an entry called `name` must not be unpacked, or an empty string."""
    path = PurePosixPath(name)
    if path.is_absolute() or "\\" in name or (len(name) > 1 and name[1] == ":") or ".." in path.parts:
        return "leaves the folder it is unpacked into"
    if printable(name, 4 * LONGEST_NAME) != name or not path.parts or any(len(p.encode()) > LONGEST_NAME for p in path.parts) or len(path.parts) > DEEPEST:
        return "a name that is empty, too long or too deep, or holds control characters"
    return ""


def is_upload(path: Path) -> bool:
    """Whether the file at `path` is a zip or a tar, packed or not, and not a torch file."""
    with path.open("rb") as stream:
        head = stream.read(512)
    if head.startswith(b"PK\x03\x04"):
        try:
            with open_zip(path) as archive:
                return not any(n.endswith("data.pkl") and n.count("/") == 1 for n in archive.namelist())
        except _BROKEN:
            return False
    return head[257:262] == b"ustar" or any(head.startswith(magic) for magic, _ in _PACKED)


def _entries(upload: Path) -> Iterator[tuple[str, str, Callable[[], IO[bytes]] | None]]:
    """Name, problem, and how to open it, of every entry; folders have neither."""
    with upload.open("rb") as stream:
        head = stream.read(8)
        if head.startswith(b"PK"):
            with open_zip(upload) as archive:
                for info in archive.infolist():
                    problem = zip_entry_problem(info)
                    if info.flag_bits & 1:
                        raise UnreadableAdapter(f"{printable(info.filename, 120)}: {problem}")
                    yield info.filename, problem, None if info.filename.endswith("/") else lambda i=info: archive.open(i)  # type: ignore[misc]
            return
        stream.seek(0)
        opened = next((o for magic, o in _PACKED if head.startswith(magic)), None)
        source = _Counted(opened(stream) if opened else stream, LARGEST)
        with tarfile.open(fileobj=source, mode="r|", errorlevel=2) as packed:  # type: ignore[call-overload]
            for member in packed:
                problem = "" if member.isreg() or member.isdir() else "a link" if member.issym() or member.islnk() else "not a regular file"
                if member.issparse():
                    problem = "a sparse file"
                yield member.name, problem, (lambda m=member: packed.extractfile(m)) if member.isreg() else None  # type: ignore[misc]


def zip_entry_problem(info: zipfile.ZipInfo) -> str:
    """What the entry is other than a plain file, or an empty string."""
    mode = info.external_attr >> 16
    if info.flag_bits & 1:
        return "encrypted, so it cannot be examined"
    if info.orig_filename != info.filename:
        return "a name cut short by NUL, or with backslashes"
    if stat.S_ISLNK(mode):
        return "a link"
    return "" if not stat.S_IFMT(mode) or stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "not a regular file"


class _Counted:
    """A stream that ends in an error once too much was read of it: seeking over packed data costs as much as reading it."""

    def __init__(self, stream: IO[bytes], left: int) -> None:
        self._stream, self._left = stream, left

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise UnreadableAdapter("an upload that unpacks without end")
        return data


class LinearXz:
    """An xz stream read forwards, with a bound on its memory."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._machine = stream, lzma.LZMADecompressor(memlimit=LZMA_MEMORY)

    def read(self, size: int) -> bytes:
        """At most `size` bytes."""
        while not self._machine.eof:
            packed = self._stream.read(PIECE) if self._machine.needs_input else b""
            if self._machine.needs_input and not packed:
                raise EOFError("ends early")
            data = self._machine.decompress(packed, size)
            if data:
                return data
        return b""


class LinearZlib:
    """A bare zlib stream read forwards."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._machine = stream, zlib.decompressobj()

    def read(self, size: int) -> bytes:
        """At most `size` bytes."""
        while not self._machine.eof:
            packed = self._machine.unconsumed_tail or self._stream.read(PIECE)
            data = self._machine.decompress(packed, size)
            if data:
                return data
            if not packed:
                raise EOFError("ends early")
        return b""
