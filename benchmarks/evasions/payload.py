"""Pickles written opcode by opcode. What they would run is `echo`."""

from __future__ import annotations

import struct

import numpy as np

COMMAND = "echo unmask"


def text(value: str) -> bytes:
    """The opcode that pushes a string (BINUNICODE)."""
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def call(module: str = "os", name: str = "system", argument: str = COMMAND, protocol: int = 2) -> bytes:
    """A pickle that imports `module.name` and calls it with one string when it is loaded."""
    if protocol == 0:
        return f"c{module}\n{name}\n(S'{argument}'\ntR.".encode()
    if protocol == 1:
        return f"c{module}\n{name}\n(".encode() + text(argument) + b"tR."
    if protocol < 4:
        return bytes([0x80, protocol]) + f"c{module}\n{name}\n".encode() + text(argument) + b"\x85R."
    return bytes([0x80, protocol]) + text(module) + text(name) + b"\x93" + text(argument) + b"\x85R."


def state(shapes: dict[str, tuple[int, ...]]) -> bytes:
    """The pickle inside what torch.save makes of float32 tensors of these shapes, all in storage 0."""
    body = b"\x80\x02ccollections\nOrderedDict\n)R("
    for name, shape in shapes.items():
        count = int(np.prod(shape))
        strides = [int(np.prod(shape[i + 1 :])) for i in range(len(shape))]
        body += text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n(("
        body += text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"J" + struct.pack("<i", count) + b"tQ"
        body += b"K\x00" + _tuple(shape) + _tuple(strides) + b"\x89ccollections\nOrderedDict\n)RtR"
    return body + b"u."


def _tuple(numbers: tuple[int, ...] | list[int]) -> bytes:
    return b"(" + b"".join(b"J" + struct.pack("<i", n) for n in numbers) + b"t"
