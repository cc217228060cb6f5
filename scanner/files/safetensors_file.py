"""A safetensors file whose header was checked by us before a byte of data is used.

Format: https://github.com/huggingface/safetensors#format. What the format's own library (0.8) refuses is refused here. What it
loads although the format forbids it (names written twice, unknown fields, control characters) is a flaw, and told.
Data is read one tensor at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scanner.errors import UnreadableAdapter
from scanner.files.strict_json import BadJson, load_object
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

LARGEST_HEADER = 16 * 1024 * 1024
MOST_DIMENSIONS = 8
_FIELDS = {"dtype", "shape", "data_offsets"}


class SafetensorsFile:
    """A checked safetensors file: `tensors` by name, `metadata`, `flaws`, and values on request."""

    def __init__(self, path: Path) -> None:
        """Read and check the header of `path`; raises UnreadableAdapter with the first broken promise."""
        self.path = path
        self._where = printable(path.name)
        self._flaws: list[Flaw] = []
        with path.open("rb") as stream:
            self._state = state(stream)
            size = self._state.bytes
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > size - 8:
                raise self._broken(f"the header says {length:,} bytes, the file holds {max(size - 8, 0):,}: truncated or not safetensors")
            if length > LARGEST_HEADER:
                raise self._broken(f"a header of {length:,} bytes, more than the {LARGEST_HEADER:,} allowed")
            data = stream.read(length)
        if not data.startswith(b"{"):
            if not data.lstrip(b" \t\r\n").startswith(b"{"):
                raise self._broken("the header does not begin with '{'")
            self._flaw(Irregularity.AMBIGUOUS, "white space before the header, which the format forbids and its library accepts")
        try:
            header, twice = load_object(data, LARGEST_HEADER)
        except BadJson as error:
            raise self._broken(f"header: {error}") from None
        if (twice and not {*header, *_strings(header.get("__metadata__"))}.issuperset(twice)) or "__metadata__" in twice:
            raise self._broken(f"'{printable(twice[0], 80)}' is written twice inside one entry of the header")
        for name in sorted(set(twice)):
            self._flaw(Irregularity.AMBIGUOUS, f"'{printable(name, 80)}' is written twice in the header; PEFT takes the last", name)
        metadata = header.pop("__metadata__", None) or {}
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
        self._flaws += [f for f, _ in zip(hostile_names(sorted(header)), range(MOST_FLAWS), strict=False)]
        self.tensors: dict[str, Tensor] = {t.name: t for t in sorted(entries, key=lambda t: t.name) if not unnameable(t.name)}

    @property
    def flaws(self) -> tuple[Flaw, ...]:
        """What the format forbids and its library loads; at most 100 are kept."""
        return tuple(self._flaws[:MOST_FLAWS])

    def _flaw(self, kind: Irregularity, what: str, item: str = "") -> None:
        if len(self._flaws) < MOST_FLAWS:
            self._flaws.append(Flaw(kind, what, printable(item, 200)))

    def _broken(self, what: str) -> UnreadableAdapter:
        return UnreadableAdapter(f"{self._where}: {what}")

    def _entry(self, name: str, entry: Any, offset: int, size: int) -> Tensor:
        label = f"'{printable(name, 80)}'"
        if not isinstance(entry, dict) or not set(entry) >= _FIELDS:
            raise self._broken(f"{label}: an entry must hold dtype, shape and data_offsets")
        if set(entry) != _FIELDS:
            extra = printable(min(set(entry) - _FIELDS), 40)
            self._flaw(Irregularity.UNEXPECTED, f"{label} has a field '{extra}' that the format does not know", name)
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(dtype, str) or dtype not in BITS:
            raise self._broken(f"{label}: dtype {printable(dtype, 40)} is not known")
        if not _sizes(shape) or len(shape) > MOST_DIMENSIONS or not _sizes(offsets) or len(offsets) != 2:
            raise self._broken(f"{label}: shape and data_offsets must be lists of non-negative integers")
        start, end = offsets
        if end < start or offset + end > size or (end - start) * 8 != math.prod(shape) * BITS[dtype]:
            raise self._broken(f"{label}: {end - start:,} bytes at {start:,} do not fit shape {shape} of {dtype}, or the file is truncated")
        return Tensor(name, dtype, tuple(shape), offset + start, offset + end)

    def pieces(self, name: str) -> Iterator[bytes]:
        """The tensor's bytes as stored, at most 16 MiB at a time."""
        return pieces(self.path, self.tensors[name], self._state)

    def read(self, name: str) -> Floats:
        """The tensor as float32, shape as declared. Raises UnreadableAdapter for a dtype that is not a plain float."""
        tensor = self.tensors[name]
        value = floats(b"".join(self.pieces(name)), tensor.dtype)
        if value is None:
            raise self._broken(f"'{printable(name, 80)}' is {tensor.dtype}; adapter weights must be F32, F16, BF16 or F64")
        return value.reshape(tensor.shape)

    def integers(self, name: str) -> Integers:
        """The tensor as int64, shape as declared. Raises UnreadableAdapter for a dtype that is not an integer."""
        tensor = self.tensors[name]
        value = integers(b"".join(self.pieces(name)), tensor.dtype)
        if value is None:
            raise self._broken(f"'{printable(name, 80)}' is {tensor.dtype}, not whole numbers")
        return value.reshape(tensor.shape)


def _strings(value: Any) -> list[str]:
    return list(value) if isinstance(value, dict) else []


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(v) is int and 0 <= v < 2**48 for v in value)
