"""Every file of a folder: its size, its hash, and what it really is, told from its bytes and not its name."""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import unicodedata
import zipfile
from enum import StrEnum
from pathlib import Path

import msgspec

from scanner.errors import UnreadableAdapter
from scanner.files.opcodes import opcodes
from scanner.files.text import printable
from scanner.files.zips import open_zip

MOST_FILES = 5_000
MOST_BYTES = 64 << 30
HEAD = 4096


class Kind(StrEnum):
    """The real type of a file."""

    SAFETENSORS = "safetensors"
    JSON = "json"
    PICKLE = "pickle"
    TORCH_ZIP = "torch zip"
    ARCHIVE = "archive"
    EXECUTABLE = "executable"
    SCRIPT = "script"
    GGUF = "gguf"
    LFS_POINTER = "git-lfs pointer"
    LINK = "link out of the folder"
    TEXT = "text"
    BINARY = "binary"
    EMPTY = "empty"


class File(msgspec.Struct, frozen=True):
    """A file as found: path inside the folder, size in bytes, SHA-256 in hex, real type."""

    path: str
    bytes: int
    sha256: str
    kind: Kind


_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"GGUF", Kind.GGUF),
    (b"version https://git-lfs", Kind.LFS_POINTER),
    (b"\x7fELF", Kind.EXECUTABLE),
    (b"MZ", Kind.EXECUTABLE),
    (b"\xcf\xfa\xed\xfe", Kind.EXECUTABLE),
    (b"\xca\xfe\xba\xbe", Kind.EXECUTABLE),
    (b"#!", Kind.SCRIPT),
    (b"\x1f\x8b", Kind.ARCHIVE),
    (b"BZh", Kind.ARCHIVE),
    (b"\xfd7zXZ", Kind.ARCHIVE),
    (b"7z\xbc\xaf", Kind.ARCHIVE),
    (b"Rar!", Kind.ARCHIVE),
    (b"\x28\xb5\x2f\xfd", Kind.ARCHIVE),
)
_DOTTED = re.compile(r"[A-Za-z_][\w.]* [A-Za-z_][\w.]*")
_SCRIPTS = {".py", ".pyc", ".sh", ".bat", ".ps1", ".js", ".ipynb", ".so", ".dll"}


def kind_of(path: Path, head: bytes) -> Kind:
    """The type of the file at `path`, whose first bytes are `head`."""
    if not head:
        return Kind.EMPTY
    if (head[:1] == b"\x80" and head[1:2] <= b"\x05" and len(head) > 2) or _is_bare_pickle(head):
        return Kind.PICKLE
    if zipfile.is_zipfile(path):
        try:
            with open_zip(path) as archive:
                names = archive.namelist()
        except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
            return Kind.ARCHIVE
        return Kind.TORCH_ZIP if any(n.endswith("data.pkl") for n in names) else Kind.ARCHIVE
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[257:262] == b"ustar":
        return Kind.ARCHIVE
    if len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size:
        return Kind.SAFETENSORS
    if path.suffix.lower() in _SCRIPTS:
        return Kind.SCRIPT
    try:
        head[: HEAD - 4].decode("utf-8") if len(head) == HEAD else head.decode("utf-8")
    except UnicodeDecodeError:
        return Kind.BINARY
    if b"\0" in head:
        return Kind.BINARY
    return Kind.JSON if head.lstrip()[:1] in (b"{", b"[") else Kind.TEXT


def _is_bare_pickle(head: bytes) -> bool:
    """Whether `head` begins a pickle without a protocol mark that imports something and calls it."""
    imports = arguments = False
    try:
        for name, argument in opcodes(io.BytesIO(head)):
            if name in ("GLOBAL", "INST") and not _DOTTED.fullmatch(str(argument)):
                return False
            imports = imports or name in ("GLOBAL", "INST", "STACK_GLOBAL")
            arguments = arguments or name == "MARK" or "TUPLE" in name
            if imports and arguments and name in ("REDUCE", "OBJ", "INST", "NEWOBJ", "NEWOBJ_EX"):
                return True
    except Exception:  # not a pickle, or one that is cut off here
        return False
    return False


def inside(path: Path, folder: Path) -> bool:
    """Whether `path` is a regular file of `folder`, itself or through links that stay in it."""
    return path.is_file() and not _leaves(path, folder)


def _leaves(path: Path, folder: Path) -> bool:
    """Whether the link at `path` points out of `folder`; a Hugging Face cache's own blobs do not count."""
    try:
        target = path.resolve()
    except (OSError, RuntimeError):
        return True
    if target.is_relative_to(folder.resolve()):
        return False
    cache = next((p for p in folder.parents if p.name == "snapshots"), None)
    return cache is None or not target.is_relative_to((cache.parent / "blobs").resolve())


def take(folder: Path) -> tuple[File, ...]:
    """List every file below `folder`, sorted by path; links out of the folder are listed, never followed.

    Reads each file once. Raises UnreadableAdapter over 5,000 files or 64 GiB, or when a file cannot be read.
    """
    found: list[File] = []
    total = 0
    for here, folders, names in os.walk(folder, followlinks=False):
        links = [d for d in folders if (Path(here) / d).is_symlink()]
        if any(unicodedata.category(c) in ("Cc", "Cs") for d in folders for c in d):
            raise UnreadableAdapter(f"{printable(here)}: holds a folder whose name has control characters or is not UTF-8")
        folders[:] = sorted(d for d in folders if d not in links and d != ".git")
        for name in sorted([*names, *links]):
            path = Path(here) / name
            if len(found) >= MOST_FILES:
                raise UnreadableAdapter(f"{printable(folder)}: more than {MOST_FILES:,} files; give the adapter's own folder")
            found.append(take_file(path, folder))
            total += found[-1].bytes
            if total > MOST_BYTES:
                raise UnreadableAdapter(f"{printable(folder)}: more than {MOST_BYTES >> 30} GiB; give the adapter's own folder")
    return tuple(found)


def take_file(path: Path, folder: Path) -> File:
    """The file at `path`, named from `folder`. Raises UnreadableAdapter for a name that could forge a line, or when it cannot be read."""
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in path.name):
        raise UnreadableAdapter(f"{printable(path)}: a file name with control characters or not in UTF-8")
    relative = path.relative_to(folder).as_posix()
    if path.is_symlink() and (path.is_dir() or _leaves(path, folder)):
        return File(relative, 0, "", Kind.LINK)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return File(relative, 0, "", Kind.LINK)
        with path.open("rb") as stream:
            head = stream.read(HEAD)
            if path.stat().st_size > MOST_BYTES:
                raise UnreadableAdapter(f"{printable(path)}: more than {MOST_BYTES >> 30} GiB")
            stream.seek(0)
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.tell()
    except OSError as error:
        raise UnreadableAdapter(f"{printable(path)}: cannot be read ({error.strerror})") from None
    return File(relative, size, digest, kind_of(path, head))
