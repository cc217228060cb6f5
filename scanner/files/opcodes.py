"""Pickle opcodes read as loosely as Python's unpickler reads them, which `pickletools` does not: there `I0x10` ends the reading."""

from __future__ import annotations

import codecs
import pickletools
from collections.abc import Iterator
from typing import BinaryIO

_CODES = {op.code.encode("latin-1"): op for op in pickletools.opcodes}
LONGEST_LINE = 64 * 1024 * 1024


def opcodes(stream: BinaryIO) -> Iterator[tuple[str, object]]:
    """Name and argument of every opcode up to STOP; an argument that cannot be told is None. Raises ValueError where no opcode follows."""
    while code := stream.read(1):
        opcode = _CODES.get(code)
        if opcode is None:
            raise ValueError(f"{code!r} is not an opcode")
        argument: object = None
        if opcode.name in ("GLOBAL", "INST"):
            argument = f"{_line(stream).decode('utf-8', 'replace')} {_line(stream).decode('utf-8', 'replace')}"
        elif opcode.arg is not None and opcode.arg.n == pickletools.UP_TO_NEWLINE:
            argument = _text(opcode.name, _line(stream))
        elif opcode.arg is not None:
            argument = opcode.arg.reader(stream)
        yield opcode.name, argument
        if opcode.name == "STOP":
            return
    raise ValueError("no STOP")


def _line(stream: BinaryIO) -> bytes:
    line = stream.readline(LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise ValueError("a line without its end")
    return line[:-1]


def _text(name: str, line: bytes) -> object:
    try:
        if name == "STRING":
            return codecs.escape_decode(line.strip()[1:-1])[0].decode("latin-1")
        if name == "UNICODE":
            return line.decode("raw-unicode-escape")
        return int(line) if name in ("GET", "PUT") else None
    except ValueError:
        return None
