"""A safetensors file whose header was checked by us before a byte of data is used.

Format: https://github.com/huggingface/safetensors#format. The library accepts duplicate names and control
characters; here every promise of the format is checked, and data is read one tensor at a time.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from scanner.errors import UnreadableAdapter
from scanner.files.strict_json import BadJson, load_object
from scanner.files.text import printable

LARGEST_HEADER = 16 * 1024 * 1024
MOST_TENSORS = 200_000
LONGEST_NAME = 1000
BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32,
        "U16": 16, "U8": 8, "BOOL": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8}  # fmt: skip
FLOATS: dict[str, np.dtype[Any]] = {"F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2")}


class Tensor(msgspec.Struct, frozen=True):
    """One entry of the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    """First byte in the file."""
    end: int

    @property
    def count(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


class SafetensorsFile:
    """A checked safetensors file: `tensors` by name, `metadata`, and values on request."""

    def __init__(self, path: Path) -> None:
        """Read and check the header of `path`; raises UnreadableAdapter with the first broken promise."""
        self.path = path
        self._where = printable(path.name)
        size = path.stat().st_size
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > size - 8:
                raise self._broken(f"the header says {length:,} bytes, the file holds {max(size - 8, 0):,}: truncated or not safetensors")
            if length > LARGEST_HEADER:
                raise self._broken(f"a header of {length:,} bytes, more than the {LARGEST_HEADER:,} allowed")
            data = stream.read(length)
        if not data.startswith(b"{"):
            raise self._broken("the header does not begin with '{'")
        try:
            header, twice = load_object(data, LARGEST_HEADER)
        except BadJson as error:
            raise self._broken(f"header: {error}") from None
        if twice:
            raise self._broken(f"'{printable(twice[0], 80)}' is named twice in the header: loaders would disagree about its value")
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
            raise self._broken("__metadata__ is not a map of strings")
        if len(header) > MOST_TENSORS:
            raise self._broken(f"{len(header):,} tensors, more than the {MOST_TENSORS:,} allowed")
        self.metadata: dict[str, str] = metadata
        entries = sorted((self._entry(n, e, 8 + length, size) for n, e in header.items()), key=lambda t: (t.start, t.end))
        position = 8 + length
        for tensor in entries:
            if tensor.start != position:
                raise self._broken(f"'{printable(tensor.name, 80)}' {'overlaps' if tensor.start < position else 'leaves a gap after'} the tensor before it")
            position = tensor.end
        if position != size:
            raise self._broken(f"{size - position:,} bytes after the last tensor" if size > position else "truncated: data ends early")
        self.tensors: dict[str, Tensor] = {t.name: t for t in sorted(entries, key=lambda t: t.name)}

    def _broken(self, what: str) -> UnreadableAdapter:
        return UnreadableAdapter(f"{self._where}: {what}")

    def _entry(self, name: str, entry: Any, offset: int, size: int) -> Tensor:
        label = f"'{printable(name, 80)}'"
        if not name or printable(name, LONGEST_NAME) != name:
            raise self._broken(f"{label}: a name must be 1 to {LONGEST_NAME:,} printable characters")
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise self._broken(f"{label}: an entry must hold dtype, shape and data_offsets, and nothing else")
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(dtype, str) or dtype not in BITS:
            raise self._broken(f"{label}: dtype {printable(dtype, 40)} is not known")
        if not _sizes(shape) or len(shape) > 8 or not _sizes(offsets) or len(offsets) != 2:
            raise self._broken(f"{label}: shape and data_offsets must be lists of non-negative integers")
        start, end = offsets
        if end < start or offset + end > size or (end - start) * 8 != math.prod(shape) * BITS[dtype]:
            raise self._broken(f"{label}: {end - start:,} bytes at {start:,} do not fit shape {shape} of {dtype}, or the file is truncated")
        return Tensor(name, dtype, tuple(shape), offset + start, offset + end)

    def read(self, name: str) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The tensor as float32, shape as declared. Raises UnreadableAdapter for a dtype that is not a plain float."""
        tensor = self.tensors[name]
        with self.path.open("rb") as stream:
            data = os.pread(stream.fileno(), tensor.end - tensor.start, tensor.start)
        if len(data) != tensor.end - tensor.start:
            raise self._broken("the file became shorter while it was read")
        if tensor.dtype == "BF16":
            value = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
        elif tensor.dtype in FLOATS:
            with np.errstate(over="ignore"):
                value = np.frombuffer(data, FLOATS[tensor.dtype]).astype(np.float32)
        else:
            raise self._broken(f"'{printable(name, 80)}' is {tensor.dtype}; adapter weights must be F32, F16, BF16 or F64")
        return value.reshape(tensor.shape)


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(v) is int and 0 <= v < 2**48 for v in value)
