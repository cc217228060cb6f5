"""Tensors on disk behind one interface, whatever kind of file holds them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

import msgspec
import numpy as np

from scanner.errors import UnreadableAdapter
from scanner.files.text import printable

MOST_TENSORS = 200_000
MOST_FLAWS = 100
LONGEST_NAME = 1000
PIECE = 16 * 1024 * 1024

Floats = np.ndarray[Any, np.dtype[np.float32]]
Integers = np.ndarray[Any, np.dtype[np.int64]]

BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F6_E2M3": 6, "F6_E3M2": 6,
    "F4": 4, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8, "C64": 64,
}  # fmt: skip
"""Bits of one element of every dtype of safetensors 0.8."""
_FLOATS: dict[str, np.dtype[Any]] = {"F64": np.dtype("<f8"), "F32": np.dtype("<f4")}
_INTEGERS: dict[str, np.dtype[Any]] = {d: np.dtype(f"<{d[0].lower()}{int(d[1:]) // 8}") for d in ("I64", "I32", "I16", "I8", "U32", "U16", "U8")}
_INTEGERS["BOOL"] = np.dtype("u1")


class State(NamedTuple):
    """What tells two states of one file apart."""

    inode: int
    bytes: int
    changed: int
    """Time of the last change, in nanoseconds."""


class Tensor(msgspec.Struct, frozen=True):
    """One named tensor of a weights file."""

    name: str
    dtype: str
    """As safetensors spells it: F32, BF16, I64."""
    shape: tuple[int, ...]
    start: int
    """First byte in its file."""
    end: int

    @property
    def count(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


class Weights(Protocol):
    """What every kind of weights file offers."""

    @property
    def tensors(self) -> dict[str, Tensor]:
        """By name, in the order of the names."""
        ...

    @property
    def metadata(self) -> dict[str, str]:
        """What the file says about itself, as the uploader wrote it."""
        ...

    @property
    def flaws(self) -> tuple[Flaw, ...]:
        """What its format forbids and loaders accept."""
        ...

    def read(self, name: str) -> Floats:
        """The tensor as float32, shape as declared. Raises UnreadableAdapter for a dtype that is not a float."""
        ...

    def integers(self, name: str) -> Integers:
        """The tensor as int64, shape as declared. Raises UnreadableAdapter for a dtype that is not an integer."""
        ...

    def pieces(self, name: str) -> Iterator[bytes]:
        """The tensor's bytes as stored, at most 16 MiB at a time."""
        ...


class Irregularity(StrEnum):
    """What can be wrong with a weights file that the format's own library loads all the same."""

    AMBIGUOUS = "readers disagree about it"
    HOSTILE_NAME = "a name that no module can have"
    UNEXPECTED = "holds what the format does not know"
    APPENDED = "bytes that belong to nothing"


class Flaw(msgspec.Struct, frozen=True):
    """One irregularity of a weights file, in one printable line."""

    kind: Irregularity
    what: str
    item: str = ""


def state(stream: BinaryIO) -> State:
    """The state of an open file."""
    found = os.fstat(stream.fileno())
    return State(found.st_ino, found.st_size, found.st_mtime_ns)


def floats(data: bytes, dtype: str) -> Floats | None:
    """Little-endian elements of `dtype` as float32, flat; None where `dtype` is not a float that is understood."""
    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    if dtype == "F16":
        return _halves(data)
    if dtype in _FLOATS:
        with np.errstate(over="ignore"):
            return np.frombuffer(data, _FLOATS[dtype]).astype(np.float32)
    return None


def _halves(data: bytes) -> Floats:
    """Half-precision numbers as float32, exactly, in a fifth of the time NumPy takes: bits moved to their places, exponent put right by 2^112."""
    bits = np.frombuffer(data, "<i2")
    if bits.size and int((bits & 0x7C00).max()) == 0x7C00:  # infinities and NaN, which the multiplication would make finite
        return bits.view("<f2").astype(np.float32)
    moved = (bits.astype(np.int32) << 13) & np.int32(0x8FFFE000 - (1 << 32))
    return moved.view(np.float32) * np.float32(2.0**112)


def integers(data: bytes, dtype: str) -> Integers | None:
    """Little-endian elements of `dtype` as int64, flat; None where `dtype` is not an integer."""
    return np.frombuffer(data, _INTEGERS[dtype]).astype(np.int64) if dtype in _INTEGERS else None


def pieces(path: Path, tensor: Tensor, as_opened: State) -> Iterator[bytes]:
    """The bytes of `tensor` in the file at `path`, at most 16 MiB at a time. Raises UnreadableAdapter when the file is not `as_opened`."""
    with path.open("rb") as stream:
        stream.seek(tensor.start)
        left = tensor.end - tensor.start
        while left:
            data = stream.read(min(left, PIECE))
            left -= len(data)
            if state(stream) != as_opened or not data:
                raise UnreadableAdapter(f"{printable(path.name)}: the file changed while it was read")
            yield data


def unnameable(name: str) -> bool:
    """Whether `name` is empty, over 1,000 characters, or holds controls or invisible characters: no module is called so."""
    return not name or printable(name, LONGEST_NAME) != name


def hostile_names(names: Iterable[str]) -> Iterator[Flaw]:
    """A flaw for each of `names` that no module can have, or that steps out of a folder where a tool makes files of names."""
    for name in names:
        if unnameable(name):
            yield Flaw(
                Irregularity.HOSTILE_NAME,
                f"'{printable(name, 80)}' is the name of a tensor; no module has such a name, so it is not read",
                printable(name, 200),
            )
        elif "/" in name or "\\" in name:
            yield Flaw(Irregularity.HOSTILE_NAME, f"'{printable(name, 80)}' is the name of a tensor, and a path", printable(name, 200))
