"""What is inside a file: the entries of archives, archives in archives, and what follows the end of a file. Bounded, in memory, nothing is unpacked.

At most 20,000 entries and 512 MiB are read of one file, three archives deep. What was not read is said.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

import msgspec

from scanner.files.kinds import HEAD, Kind, is_squeezed, kind_of
from scanner.files.text import printable
from scanner.files.unpack import LinearXz, LinearZlib, entry_problem, zip_entry_problem
from scanner.files.zips import LOCAL, local_entry, local_offsets, open_zip

MOST_ENTRIES = 20_000
MOST_BYTES = 512 << 20
LARGEST_ENTRY = 64 << 20
DEEPEST = 3
BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, NotImplementedError, RuntimeError, ValueError, OverflowError)
_PNG_END = b"IEND\xaeB`\x82"


class Part(msgspec.Struct, frozen=True):
    """A file, an entry of an archive, or what follows the end of a file."""

    path: str
    """Names from the outermost file inwards, joined by `!`; not fit to print."""
    kind: Kind
    data: bytes
    """At most 64 MiB from its beginning; of what is only weights, the first 4,096 bytes."""
    whole: bool
    """Whether `data` is all of it."""
    follows: bool = False
    """Whether it is what follows the end of a file that is something else."""
    checked: bool = True
    """Whether its archive vouches for it; otherwise it may just be damaged."""


class Odd(msgspec.Struct, frozen=True):
    """An entry that is more than a file, or something that was not looked into; both fit to print."""

    path: str
    what: str
    hostile: bool
    """Whether it would harm whoever unpacks it; otherwise it was only not examined."""


class _Spent(Exception):
    """The limit on entries or on bytes was reached."""


class _Budget:
    def __init__(self) -> None:
        self.entries, self.bytes = MOST_ENTRIES, MOST_BYTES

    def entry(self) -> None:
        self.entries -= 1
        if self.entries < 0:
            raise _Spent(f"more than {MOST_ENTRIES:,} entries")

    def read(self, stream: IO[bytes], most: int) -> bytes:
        """At most `most` bytes of `stream`."""
        most = min(most, self.bytes + 1)
        data = stream.read(most)
        while len(data) < most and (more := stream.read(most - len(data))):
            data += more
        self.take(len(data))
        return data

    def take(self, count: int) -> None:
        """Count `count` bytes more."""
        self.bytes -= count
        if self.bytes < 0:
            raise _Spent(f"more than {MOST_BYTES >> 20} MiB inside")


def contents(path: Path, name: str, kind: Kind) -> Iterator[Part | Odd]:
    """The file at `path`, called `name`, and everything in it."""
    budget = _Budget()
    with path.open("rb") as stream:
        try:
            yield from _look(stream, name, kind, budget, DEEPEST)
        except _Spent as error:
            yield Odd(printable(name, 200), f"{error}, the rest was not examined", hostile=False)


def _look(stream: BinaryIO, name: str, kind: Kind, budget: _Budget, deepest: int) -> Iterator[Part | Odd]:
    """`stream` is seekable and holds the whole file."""
    stream.seek(0)
    head = stream.read(HEAD)
    zipped = kind in (Kind.TORCH_ZIP, Kind.ARCHIVE) and zipfile.is_zipfile(stream)
    stream.seek(0)
    if kind in (Kind.SAFETENSORS, Kind.GGUF, Kind.JSON):
        yield Part(name, kind, head, whole=False)
    elif not (zipped and head.startswith(b"PK")):
        data = budget.read(stream, LARGEST_ENTRY)
        shown = kind if not zipped else kind_of(name, head, io.BytesIO(head))
        yield Part(name, shown, data, whole=not stream.read(1))
        if zipped and _end(stream, head) is None:
            yield Part(f"{name}!at its end", kind, b"", whole=False, follows=True)
    yield from _after(stream, name, head, kind, budget, deepest)
    if kind not in (Kind.TORCH_ZIP, Kind.ARCHIVE):
        return
    if not deepest:
        yield Odd(printable(name, 200), "an archive in an archive in an archive, which was not opened", hostile=False)
        return
    try:
        yield from _zip(stream, name, budget, deepest) if zipped else _packed(stream, head, name, budget, deepest)
    except BROKEN as error:
        yield Odd(printable(name, 200), f"cannot be unpacked ({printable(error, 80) or type(error).__name__})", hostile=False)


def _zip(stream: BinaryIO, name: str, budget: _Budget, deepest: int) -> Iterator[Part | Odd]:
    seen: set[str] = set()
    with open_zip(stream) as archive:
        names = archive.namelist()
        torch = {n.removesuffix("data.pkl") for n in names if n.endswith("data.pkl")}
        for info in archive.infolist():
            budget.entry()
            inner = f"{name}!{info.filename}"
            folder = info.filename.endswith("/")  # ZipInfo.is_dir fails on an empty name
            problem = "" if folder else zip_entry_problem(info) or entry_problem(info.filename)
            problem = problem or ("a second entry of the same name: unpackers disagree about it" if info.filename in seen else "")
            seen.add(info.filename)
            if problem:
                yield Odd(printable(inner, 200), problem, hostile="encrypted" not in problem)
            if folder:
                continue
            storage = any(info.filename.startswith(f"{t}data/") for t in torch)
            try:
                with archive.open(info) as entry:
                    yield from _entry(entry, inner, budget, deepest, weights=storage)
            except (zipfile.BadZipFile, RuntimeError) as error:  # other readers ask for neither sums nor flags, nor that names agree
                if not problem:
                    yield Odd(printable(inner, 200), f"cannot be unpacked ({printable(error, 80)})", hostile=False)
                yield from _unchecked(stream, name, info.header_offset, info.compress_size, budget, deepest)


def _unchecked(stream: BinaryIO, name: str, offset: int, packed: int, budget: _Budget, deepest: int) -> Iterator[Part | Odd]:
    """The entry whose own header lies at `offset`, as readers see it that check nothing; noise, such as what is really encrypted, is left out."""
    try:
        found = local_entry(stream, offset, packed, min(LARGEST_ENTRY, budget.bytes + 1))
    except zlib.error:
        return
    budget.take(len(found.data) if found else 0)
    if found is not None and kind_of("", found.data[:HEAD], io.BytesIO(found.data[:HEAD])) is not Kind.BINARY:
        for part in _entry(io.BytesIO(found.data), f"{name}!{found.name}", budget, deepest):
            yield msgspec.structs.replace(part, checked=False) if isinstance(part, Part) else part


def _undirected(stream: BinaryIO, name: str, budget: _Budget, deepest: int) -> Iterator[Part | Odd]:
    """A zip without a directory where readers look for one: entry after entry, as readers of streams see it."""
    yield Odd(printable(name, 200), "a zip without a directory at its end", hostile=False)
    stream.seek(0)
    data = stream.read(LARGEST_ENTRY)
    offsets = local_offsets(data, MOST_ENTRIES)
    for offset, end in zip(offsets, [*offsets[1:], len(data)], strict=True):
        budget.entry()
        yield from _unchecked(stream, name, offset, end - offset, budget, deepest)


def _packed(stream: BinaryIO, head: bytes, name: str, budget: _Budget, deepest: int) -> Iterator[Part | Odd]:
    """A tar, or one packed file."""
    stream.seek(0)
    source: IO[bytes]
    if head.startswith(b"\x1f\x8b"):
        source = gzip.GzipFile(fileobj=stream)  # type: ignore[assignment]
    elif head.startswith(b"BZh"):
        source = bz2.BZ2File(stream)
    elif head.startswith(b"\xfd7zXZ"):
        source = LinearXz(stream)  # type: ignore[assignment]
    elif head[257:262] == b"ustar":
        source = stream
    elif head.startswith(LOCAL):
        yield from _undirected(stream, name, budget, deepest)
        return
    elif is_squeezed(head):
        source = LinearXz(stream) if head.startswith(b"\x5d") else LinearZlib(stream)  # type: ignore[assignment]
    else:
        yield Odd(printable(name, 200), "packed in a way that is not opened here", hostile=False)
        return
    first = budget.read(source, HEAD)
    if first[257:262] != b"ustar":
        yield from _entry(_Joined(first, source), f"{name}!", budget, deepest)  # type: ignore[arg-type]
        return
    counted = _Joined(first, source, budget)
    with tarfile.open(fileobj=counted, mode="r|", errorlevel=2) as packed:  # type: ignore[call-overload]
        for member in packed:
            budget.entry()
            inner = f"{name}!{member.name}"
            problem = "" if member.isdir() else entry_problem(member.name)
            if not member.isreg() and not member.isdir():
                problem = "a link" if member.issym() or member.islnk() else "not a regular file"
            if problem:
                yield Odd(printable(inner, 200), problem, hostile=True)
            content = packed.extractfile(member) if member.isreg() else None
            if content is not None:
                yield from _entry(content, inner, budget, deepest)


def _entry(stream: IO[bytes], path: str, budget: _Budget, deepest: int, weights: bool = False) -> Iterator[Part | Odd]:
    head = budget.read(stream, HEAD)
    inner = path.rsplit("!", 1)[-1]
    kind = kind_of(inner, head, io.BytesIO(head))
    if weights and kind in (Kind.BINARY, Kind.TEXT, Kind.EMPTY, Kind.PICKLE):
        return
    if kind is Kind.SAFETENSORS or len(head) < HEAD:
        rest, more = b"", b""
    else:
        rest, more = budget.read(stream, LARGEST_ENTRY - len(head)), stream.read(1)
    data = head + rest
    if more:
        yield Part(path, kind, data, whole=False)
        if kind in (Kind.ARCHIVE, Kind.TORCH_ZIP) or data.startswith(b"PK"):
            yield Odd(printable(path, 200), "an archive of more than 64 MiB in an archive, which was not opened", hostile=False)
        elif kind not in (Kind.GGUF, Kind.PICKLE) and not weights:
            yield Odd(printable(path, 200), "more than 64 MiB unpacked, the rest was not examined", hostile=False)
        return
    yield from _look(io.BytesIO(data), path, kind_of(inner, head, io.BytesIO(data)), budget, deepest - 1)


def _after(stream: BinaryIO, name: str, head: bytes, kind: Kind, budget: _Budget, deepest: int) -> Iterator[Part | Odd]:
    """What follows the end of a safetensors file or a picture, where that is a file of its own."""
    end = _end(stream, head)
    if end is None:
        return
    stream.seek(end)
    tail = budget.read(stream, LARGEST_ENTRY)
    found = kind_of("", tail[:HEAD], io.BytesIO(tail)) if tail else Kind.EMPTY
    if found in (Kind.PICKLE, Kind.ARCHIVE, Kind.TORCH_ZIP, Kind.EXECUTABLE, Kind.SCRIPT):
        path = f"{name}!bytes from {end}"
        yield Part(path, found, tail, whole=not stream.read(1), follows=True)
        if kind not in (Kind.ARCHIVE, Kind.TORCH_ZIP) and found in (Kind.ARCHIVE, Kind.TORCH_ZIP) and deepest:
            yield from _look(io.BytesIO(tail), path, found, budget, deepest - 1)


def _end(stream: BinaryIO, head: bytes) -> int | None:
    """Where the file should end, for the formats that say so."""
    size = stream.seek(0, io.SEEK_END)
    if head.startswith(b"\x89PNG"):
        stream.seek(0)
        at = stream.read(LARGEST_ENTRY).find(_PNG_END)
        return at + len(_PNG_END) if at >= 0 and at + len(_PNG_END) < size else None
    length = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and length <= min(size - 8, LARGEST_ENTRY):
        stream.seek(8)
        try:
            header = msgspec.json.decode(stream.read(length), type=dict[str, _Entry])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        end = 8 + length + max((e.data_offsets[1] for e in header.values()), default=0)
        return end if end < size else None
    return None


class _Entry(msgspec.Struct):
    data_offsets: tuple[int, int] = (0, 0)


class _Joined:
    """A stream with bytes put back before it, which counts what is read."""

    def __init__(self, first: bytes, rest: IO[bytes], budget: _Budget | None = None) -> None:
        self._first, self._rest, self._budget = first, rest, budget

    def read(self, size: int = -1) -> bytes:
        if self._first:
            taken, self._first = self._first[:size], self._first[size:]
            return taken
        return self._budget.read(self._rest, size) if self._budget else self._rest.read(size)
