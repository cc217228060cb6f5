"""What a file is, told from its bytes and not from its name."""

from __future__ import annotations

import io
import lzma
import re
import zipfile
import zlib
from enum import StrEnum
from typing import BinaryIO

from scanner.files.opcodes import opcodes
from scanner.files.zips import LOCAL, open_zip

HEAD = 4096
LZMA_MEMORY = 256 << 20


class Kind(StrEnum):
    """The real type of a file."""

    SAFETENSORS = "safetensors"
    JSON = "json"
    PICKLE = "pickle"
    NUMPY = "numpy array"
    TORCH_ZIP = "torch zip"
    ARCHIVE = "archive"
    EXECUTABLE = "executable"
    SCRIPT = "script"
    NOTEBOOK = "notebook"
    GGUF = "gguf"
    HDF5 = "hdf5"
    IMAGE = "image"
    LFS_POINTER = "git-lfs pointer"
    LINK = "link out of the folder"
    TEXT = "text"
    BINARY = "binary"
    EMPTY = "empty"


_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"GGUF", Kind.GGUF),
    (b"version https://git-lfs", Kind.LFS_POINTER),
    (b"\x93NUMPY", Kind.NUMPY),
    (b"\x89HDF\r\n\x1a\n", Kind.HDF5),
    (b"\x89PNG\r\n\x1a\n", Kind.IMAGE),
    (b"\xff\xd8\xff", Kind.IMAGE),
    (b"GIF8", Kind.IMAGE),
    (b"\x7fELF", Kind.EXECUTABLE),
    (b"\xcf\xfa\xed\xfe", Kind.EXECUTABLE),
    (b"\xce\xfa\xed\xfe", Kind.EXECUTABLE),
    (b"\xca\xfe\xba\xbe", Kind.EXECUTABLE),
    (b"\0asm", Kind.EXECUTABLE),
    (b"dex\n03", Kind.EXECUTABLE),
    (b"L\0\0\0\x01\x14\x02\0", Kind.EXECUTABLE),
    (b"#!", Kind.SCRIPT),
    (b"<?php", Kind.SCRIPT),
    (b"\x1f\x8b", Kind.ARCHIVE),
    (b"BZh", Kind.ARCHIVE),
    (b"\xfd7zXZ", Kind.ARCHIVE),
    (b"7z\xbc\xaf", Kind.ARCHIVE),
    (b"Rar!", Kind.ARCHIVE),
    (b"\x28\xb5\x2f\xfd", Kind.ARCHIVE),
    (b"MSCF", Kind.ARCHIVE),
    (b"\x04\x22\x4d\x18", Kind.ARCHIVE),
)
_PATH_HOOK = re.compile(rb"^(?:\xef\xbb\xbf)?import[ \t]", re.MULTILINE)
"""A line of a .pth file that Python runs at every start (https://docs.python.org/3/library/site.html)."""
_DOTTED = re.compile(r"[A-Za-z_][\w.]* [A-Za-z_][\w.]*")
_SCRIPTS = (
    ".py", ".pyc", ".pyw", ".sh", ".bash", ".bat", ".cmd", ".ps1", ".psm1", ".js", ".mjs", ".vbs", ".hta", ".pl", ".rb", ".lua", ".php", ".jar", ".so", ".dll",
    ".dylib", ".desktop", ".lnk", ".scr", ".fish", ".zsh", ".ksh", ".csh", ".tcsh", ".r", ".jl", ".tcl", ".awk", ".applescript", ".scpt", ".command", ".cjs", ".ts",
    ".psd1", ".ps1xml", ".wsf", ".wsh", ".jse", ".vbe", ".sct", ".reg", ".pif", ".cpl", ".msc", ".ipy", ".xsh", ".mobileconfig",
)  # fmt: skip


def kind_of(name: str, head: bytes, stream: BinaryIO) -> Kind:
    """The type of the file called `name`, whose first 4,096 bytes are `head`; `stream` is seekable and holds all of it."""
    if not head:
        return Kind.EMPTY
    if is_pickle(head):
        return Kind.PICKLE
    if zipfile.is_zipfile(stream):
        try:
            with open_zip(stream) as archive:
                names = archive.namelist()
        except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
            return Kind.ARCHIVE
        return Kind.TORCH_ZIP if any(n.endswith("data.pkl") for n in names) else Kind.ARCHIVE
    if head.startswith(LOCAL):
        return Kind.ARCHIVE
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head.startswith(b"MZ") and _is_windows_program(head, stream):
        return Kind.EXECUTABLE
    if head[257:262] == b"ustar":
        return Kind.ARCHIVE
    if len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= stream.seek(0, io.SEEK_END):
        return Kind.SAFETENSORS
    low = name.lower()
    if low.endswith(".ipynb"):
        return Kind.NOTEBOOK
    if low.endswith(_SCRIPTS) or (low.endswith(".pth") and b"\0" not in head and _PATH_HOOK.search(head)):
        return Kind.SCRIPT
    try:
        head[: HEAD - 4].decode("utf-8") if len(head) >= HEAD else head.decode("utf-8")
    except UnicodeDecodeError:
        return Kind.ARCHIVE if is_squeezed(head) else Kind.BINARY
    if b"\0" in head:
        return Kind.BINARY
    return Kind.JSON if head.lstrip()[:1] in (b"{", b"[") else Kind.TEXT


def is_squeezed(head: bytes) -> bool:
    """Whether `head` begins a bare zlib or LZMA stream, which have no name of their own: its first bytes unpack to something."""
    try:
        if head[0] & 15 == 8 and int.from_bytes(head[:2]) % 31 == 0:
            return bool(zlib.decompressobj().decompress(head, 16))
        if head.startswith(b"\x5d\0\0"):
            return bool(lzma.LZMADecompressor(lzma.FORMAT_ALONE, LZMA_MEMORY).decompress(head, 16))
    except (zlib.error, lzma.LZMAError, EOFError):
        pass
    return False


def is_pickle(head: bytes) -> bool:
    """Whether `head` begins a pickle: with a protocol mark and opcodes to its end, or with an import that is called."""
    marked = head[:1] == b"\x80" and head[1:2] <= b"\x05" and len(head) > 2
    imports = arguments = False
    try:
        for name, argument in opcodes(io.BytesIO(head)):
            if name in ("GLOBAL", "INST") and not marked and not _DOTTED.fullmatch(str(argument)):
                return False
            imports = imports or name in ("GLOBAL", "INST", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4")
            arguments = arguments or name == "MARK" or "TUPLE" in name
            if imports and (marked or (arguments and name in ("REDUCE", "OBJ", "INST", "NEWOBJ", "NEWOBJ_EX"))):
                return True
    except Exception:  # not a pickle, or one that is cut off here
        return marked and len(head) >= HEAD and _runs_on(head)
    return marked


def _runs_on(head: bytes) -> bool:
    """Whether the opcodes of a marked pickle last to the end of `head` and not just to the first byte that is none."""
    stream = io.BytesIO(head)
    try:
        for _ in opcodes(stream):
            pass
    except Exception:
        return stream.tell() >= len(head)
    return True


def _is_windows_program(head: bytes, stream: BinaryIO) -> bool:
    stream.seek(int.from_bytes(head[60:64], "little"))
    return len(head) >= 64 and stream.read(4)[:2] in (b"PE", b"NE", b"LE", b"LX")
