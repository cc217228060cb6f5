"""A GGUF file, read by our own bounded reader: every count, length and offset is checked before it is used.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian. What llama.cpp refuses is refused.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scanner.errors import UnreadableAdapter
from scanner.files.text import printable
from scanner.files.weights import (
    BITS,
    MOST_FLAWS,
    MOST_TENSORS,
    Flaw,
    Floats,
    Integers,
    Irregularity,
    Tensor,
    floats,
    hostile_names,
    integers,
    pieces,
    state,
    unnameable,
)

MAGIC = b"GGUF"
LARGEST_HEADER = 64 * 1024 * 1024
MOST_FIELDS = 10_000
LONGEST_KEY = 65_535
LONGEST_NAME = 63
KEPT_ITEMS = 64
KEPT_CHARACTERS = 1_000_000
DEEPEST = 2
_NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_TEXT, _LIST = 8, 9
_PLAIN = {0: "F32", 1: "F16", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 30: "BF16"}
Q8_0 = "Q8_0"
QUANTISED = {
    2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: (Q8_0, 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 29: ("IQ1_M", 256, 56), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}  # fmt: skip
"""Name, elements and bytes of one block, by ggml's type number."""


class GgufFile:
    """A checked GGUF file: `fields` and `tensors` by name, `metadata`, `flaws`, and values on request."""

    def __init__(self, path: Path) -> None:
        """Read and check the header of `path`; raises UnreadableAdapter with the first broken promise."""
        self.path = path
        self._where = printable(path.name)
        with path.open("rb") as stream:
            self._state = state(stream)
            self._size = self._state.bytes
            self._stream = stream
            if stream.read(4) != MAGIC:
                raise self._broken("does not begin with GGUF")
            version = self._number("<I")
            if version not in (2, 3):
                raise self._broken(f"GGUF version {version}, or not little-endian; 2 and 3 are understood")
            tensors, fields = self._number("<Q"), self._number("<Q")
            if tensors > MOST_TENSORS or fields > MOST_FIELDS:
                raise self._broken(f"{tensors:,} tensors and {fields:,} fields, more than the {MOST_TENSORS:,} and {MOST_FIELDS:,} allowed")
            self.fields: dict[str, Any] = {}
            for _ in range(fields):
                key = self._text(LONGEST_KEY, strictly=True)
                if key in self.fields:
                    raise self._broken(f"the field '{printable(key, 80)}' is written twice")
                self.fields[key] = self._value(self._number("<I"), DEEPEST)
            alignment = self.fields.get("general.alignment", 32)
            if type(alignment) is not int or not 8 <= alignment <= 1 << 16 or alignment & (alignment - 1):
                raise self._broken(f"general.alignment is {printable(alignment, 40)}, not a power of two")
            entries = [self._entry() for _ in range(tensors)]
            start = -(-stream.tell() // alignment) * alignment
            del self._stream
        position = start
        self.tensors: dict[str, Tensor] = {}
        for name, dtype, shape, offset, length in entries:
            label = f"'{printable(name, 80)}'"
            if name in self.tensors:
                raise self._broken(f"{label} is named twice")
            if start + offset != position:
                raise self._broken(f"{label} does not begin where the tensor before it ends")
            if position + length > self._size:
                raise self._broken(f"{label} reaches beyond the file: truncated")
            self.tensors[name] = Tensor(name, dtype, shape, position, position + length)
            position = start + -(-(offset + length) // alignment) * alignment
        flaws: list[Flaw] = list(hostile_names(sorted(self.tensors)))
        if self._size > position:
            flaws.append(Flaw(Irregularity.APPENDED, f"{self._size - position:,} bytes after the last tensor"))
        self.tensors = {n: self.tensors[n] for n in sorted(self.tensors) if not unnameable(n)}
        self.flaws: tuple[Flaw, ...] = tuple(flaws[:MOST_FLAWS])
        self.metadata: dict[str, str] = {k: str(v) for k, v in self.fields.items()}

    def _broken(self, what: str) -> UnreadableAdapter:
        return UnreadableAdapter(f"{self._where}: {what}")

    def _take(self, count: int) -> bytes:
        if count > LARGEST_HEADER or self._stream.tell() + count > min(self._size, LARGEST_HEADER):
            raise self._broken(f"the header reaches beyond the file, or beyond the {LARGEST_HEADER:,} bytes allowed: truncated or not GGUF")
        return self._stream.read(count)

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _text(self, longest: int, strictly: bool = False) -> str:
        length = self._number("<Q")
        if length > longest:
            raise self._broken(f"a text of {length:,} bytes, more than the {longest:,} allowed")
        data = self._take(length)
        try:
            return data.decode("utf-8", "strict" if strictly else "replace")
        except UnicodeDecodeError:
            raise self._broken("the name of a field is not UTF-8") from None

    def _value(self, kind: int, deepest: int) -> Any:
        """A number, a text, or the first 64 items of a list; the rest of a list is passed over."""
        if kind in _NUMBERS:
            return self._number(_NUMBERS[kind])
        if kind == _TEXT:
            return self._text(LARGEST_HEADER)[:KEPT_CHARACTERS]
        if kind != _LIST or not deepest:
            raise self._broken(f"a field of type {kind}, which is not known" if kind != _LIST else "lists in lists in lists")
        inner, count = self._number("<I"), self._number("<Q")
        if inner in _NUMBERS:
            data = self._take(count * struct.calcsize(_NUMBERS[inner]))
            return [v for (v,) in struct.iter_unpack(_NUMBERS[inner], data[: KEPT_ITEMS * struct.calcsize(_NUMBERS[inner])])]
        if count * 8 > self._size:
            raise self._broken(f"a list of {count:,} items, more than the file can hold")
        kept = []
        for number in range(count):
            item = self._value(inner, deepest - 1)
            if number < KEPT_ITEMS:
                kept.append(item)
        return kept

    def _entry(self) -> tuple[str, str, tuple[int, ...], int, int]:
        """Name, dtype, shape (slowest dimension first), offset and bytes of one tensor."""
        name = self._text(LONGEST_KEY)
        label = f"'{printable(name, 80)}'"
        if len(name.encode()) > LONGEST_NAME:
            raise self._broken(f"{label}: a name of more than {LONGEST_NAME} bytes, which llama.cpp does not take")
        dimensions = self._number("<I")
        if dimensions > 4:
            raise self._broken(f"{label}: {dimensions:,} dimensions")
        shape = tuple(self._number("<Q") for _ in range(dimensions))[::-1]
        kind, offset = self._number("<I"), self._number("<Q")
        count = math.prod(shape)
        if any(n >= 2**48 for n in (*shape, count, offset)):
            raise self._broken(f"{label}: a shape of {printable(shape, 80)} at {offset:,}")
        if kind in _PLAIN:
            return name, _PLAIN[kind], shape, offset, count * BITS[_PLAIN[kind]] // 8
        if kind not in QUANTISED:
            raise self._broken(f"{label}: ggml type {kind} is not known")
        dtype, block, size = QUANTISED[kind]
        if not shape or shape[-1] % block:
            raise self._broken(f"{label}: rows of {shape[-1] if shape else 0:,} cannot be stored as {dtype}")
        return name, dtype, shape, offset, count // block * size

    def pieces(self, name: str) -> Iterator[bytes]:
        """The tensor's bytes as stored, at most 16 MiB at a time."""
        return pieces(self.path, self.tensors[name], self._state)

    def read(self, name: str) -> Floats:
        """The tensor as float32, shape as declared; Q8_0 is expanded. Raises UnreadableAdapter for another dtype that is no float."""
        tensor = self.tensors[name]
        data = b"".join(self.pieces(name))
        value = _q8_0(data) if tensor.dtype == Q8_0 else floats(data, tensor.dtype)
        if value is None:
            raise self._broken(f"'{printable(name, 80)}' is {tensor.dtype}; adapter weights must be F32, F16, BF16, F64 or Q8_0")
        return value.reshape(tensor.shape)

    def integers(self, name: str) -> Integers:
        """The tensor as int64, shape as declared. Raises UnreadableAdapter for a dtype that is not an integer."""
        value = integers(b"".join(self.pieces(name)), self.tensors[name].dtype)
        if value is None:
            raise self._broken(f"'{printable(name, 80)}' is {self.tensors[name].dtype}, not whole numbers")
        return value.reshape(self.tensors[name].shape)


def _q8_0(data: bytes) -> Floats:
    """Blocks of one float16 scale and 32 signed bytes."""
    blocks = np.frombuffer(data, np.dtype([("scale", "<f2"), ("values", "i1", 32)]))
    expanded: Floats = (blocks["scale"].astype(np.float32)[:, None] * blocks["values"].astype(np.float32)).reshape(-1)
    return expanded
