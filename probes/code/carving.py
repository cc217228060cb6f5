"""Pickles where a file of another type should have none: in the middle or at the end of a picture or an unknown format, and in numpy arrays."""

from __future__ import annotations

import re
from ast import literal_eval

from probes.code.pickles import Level, judge
from scanner.files.contents import Part
from scanner.files.kinds import Kind
from scanner.files.pickle_imports import Imports, imports

MOST_PLACES = 200
LARGEST = 1 << 20
LONGEST_HEADER = 64 * 1024
_MARKED = re.compile(rb"\x80[\x02-\x05](?:\x95.{8}|[c(\]})\x8cX])", re.DOTALL)
_BARE = re.compile(
    rb"c(?:os|posix|nt|builtins|__builtin__|subprocess|sys|runpy|importlib|socket|shutil|commands|pty|webbrowser|ctypes|pickle|marshal|types|code|pip)[\w.]*\n[\w.]+\n"
)


def carved(part: Part) -> Imports | None:
    """The first dangerous pickle that begins inside a picture or a file of unknown type, or None. At most 200 places are tried."""
    if part.kind not in (Kind.BINARY, Kind.IMAGE, Kind.HDF5):
        return None
    for pattern in (_MARKED, _BARE):
        for count, place in enumerate(pattern.finditer(part.data)):
            if count == MOST_PLACES:
                break
            found = imports(part.data[place.start() : place.start() + LARGEST])
            plain = any(n.module != "unknown" for n in found.names)
            if plain and judge(found).level is Level.DANGEROUS and (found.bytes or pattern is _MARKED):
                return found
    return None


def npy_pickle(data: bytes) -> bytes | None:
    """The pickle in a numpy file of objects, or None for one of numbers (https://numpy.org/neps/nep-0001-npy-format.html)."""
    width = 2 if data[6:7] == b"\x01" else 4
    length = int.from_bytes(data[8 : 8 + width], "little")
    start = 8 + width + length
    if length > LONGEST_HEADER:
        return data[8:]
    try:
        header = literal_eval(data[8 + width : start].decode("latin-1").strip())
        objects = "O" in str(header["descr"])
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
        return data[start:]
    return data[start:] if objects else None
