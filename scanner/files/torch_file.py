"""A torch file (`adapter_model.bin`): tensors read out of torch.save's zip without torch and without unpickling.

Format: https://docs.pytorch.org/docs/stable/notes/serialization.html. The tensors' bytes lie uncompressed in `PREFIX/data/KEY`; the
names, shapes and strides stand in `PREFIX/data.pkl`, which `tensor_pickle` understands without running it. The older format, one
pickle after the other without a zip, is refused.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scanner.errors import UnreadableAdapter
from scanner.files.tensor_pickle import NotTensors, View, tensors
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
from scanner.files.zips import bytes_after, open_zip

LARGEST_PICKLE = 64 * 1024 * 1024
_LOCAL = struct.Struct("<4s5H3I2H")


class TorchFile:
    """A checked torch file: `tensors` by name, `flaws`, and values on request. It has no metadata."""

    def __init__(self, path: Path) -> None:
        """Read the names and shapes in `path`; raises UnreadableAdapter with the first thing that is not tensors."""
        self.path = path
        self.metadata: dict[str, str] = {}
        self._where = printable(path.name)
        with path.open("rb") as stream:
            self._state = state(stream)
            if stream.read(4) != b"PK\x03\x04":
                raise self._broken("not the zip that torch.save writes; a pickle is never loaded: ask for safetensors")
        try:
            with open_zip(path) as archive:
                self._starts, views, twice = self._understand(archive)
                after = len(archive.comment) + bytes_after(archive)
        except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, ValueError, EOFError, struct.error) as error:
            if isinstance(error, UnreadableAdapter):
                raise
            raise self._broken(f"its zip cannot be read ({printable(error, 80)})") from None
        if len(views) > MOST_TENSORS:
            raise self._broken(f"{len(views):,} tensors, more than the {MOST_TENSORS:,} allowed")
        flaws = [Flaw(Irregularity.AMBIGUOUS, f"'{printable(n, 80)}' is written twice; torch takes the last", printable(n, 200)) for n in twice]
        if after:
            flaws.append(Flaw(Irregularity.APPENDED, f"{after:,} bytes after the zip, or a comment in it"))
        flaws += hostile_names(sorted(views))
        self.flaws: tuple[Flaw, ...] = tuple(flaws[:MOST_FLAWS])
        named = sorted(n for n in views if not unnameable(n))
        self._views = {n: views[n] for n in named}
        self.tensors: dict[str, Tensor] = {n: self._tensor(n, views[n]) for n in named}

    def _broken(self, what: str) -> UnreadableAdapter:
        return UnreadableAdapter(f"{self._where}: {what}")

    def _understand(self, archive: zipfile.ZipFile) -> tuple[dict[str, int], dict[str, View], tuple[str, ...]]:
        """Where each storage starts in the file, and the tensors."""
        entries = {e.filename: e for e in archive.infolist()}
        if len(entries) != len(archive.infolist()):
            raise self._broken("its zip names an entry twice, so readers would disagree about it")
        pickles = [n for n in entries if n.endswith("data.pkl")]
        if len(pickles) != 1 or pickles[0].count("/") > 1:
            raise self._broken(f"{len(pickles)} entries called data.pkl where torch.save writes one; it may be a TorchScript archive, which is code")
        prefix = pickles[0].removesuffix("data.pkl")
        for entry in entries.values():
            if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
                raise self._broken(f"{printable(entry.filename, 80)} is compressed, which torch.save never does")
        if f"{prefix}byteorder" in entries and archive.read(f"{prefix}byteorder")[:10] != b"little":
            raise self._broken("its numbers are not little-endian")
        if entries[pickles[0]].file_size > LARGEST_PICKLE:
            raise self._broken(f"a pickle of more than {LARGEST_PICKLE:,} bytes")
        try:
            views, twice = tensors(archive.read(pickles[0]))
        except NotTensors as error:
            raise self._broken(f"{error}; a pickle is never loaded: ask for safetensors") from None
        starts: dict[str, int] = {}
        with self.path.open("rb") as stream:
            for name, view in views.items():
                storage = view.storage
                if storage.key in starts:
                    continue
                entry = entries.get(f"{prefix}data/{storage.key}", zipfile.ZipInfo())
                if entry.file_size * 8 < storage.count * BITS[storage.dtype]:
                    raise self._broken(f"'{printable(name, 80)}': its bytes are missing or too few")
                stream.seek(entry.header_offset)
                header = stream.read(_LOCAL.size)
                magic, _, _, method, *_, name_length, extra_length = _LOCAL.unpack(header)
                if magic != b"PK\x03\x04" or method != zipfile.ZIP_STORED or stream.read(name_length) != entry.orig_filename.encode():
                    raise self._broken(f"{printable(entry.filename, 80)}: the zip's two headers disagree")
                starts[storage.key] = entry.header_offset + _LOCAL.size + name_length + extra_length
                if starts[storage.key] + entry.file_size > self.path.stat().st_size:
                    raise self._broken("truncated: data ends early")
        return starts, views, twice

    def _tensor(self, name: str, view: View) -> Tensor:
        width = BITS[view.storage.dtype] // 8
        span = 1 + sum((n - 1) * s for n, s in zip(view.shape, view.strides, strict=True)) if all(view.shape) else 0
        start = self._starts[view.storage.key] + view.offset * width
        return Tensor(name, view.storage.dtype, view.shape, start, start + span * width)

    def pieces(self, name: str) -> Iterator[bytes]:
        """The bytes the tensor spans as stored, at most 16 MiB at a time; with strides they may hold other elements too."""
        return pieces(self.path, self.tensors[name], self._state)

    def read(self, name: str) -> Floats:
        """The tensor as float32, shape as declared. Raises UnreadableAdapter for a dtype that is not a plain float."""
        value = floats(b"".join(self.pieces(name)), self.tensors[name].dtype)
        if value is None:
            raise self._broken(f"'{printable(name, 80)}' is {self.tensors[name].dtype}; adapter weights must be F32, F16, BF16 or F64")
        return np.ascontiguousarray(self._shaped(name, value))

    def integers(self, name: str) -> Integers:
        """The tensor as int64, shape as declared. Raises UnreadableAdapter for a dtype that is not an integer."""
        value = integers(b"".join(self.pieces(name)), self.tensors[name].dtype)
        if value is None:
            raise self._broken(f"'{printable(name, 80)}' is {self.tensors[name].dtype}, not whole numbers")
        return np.ascontiguousarray(self._shaped(name, value))

    def _shaped(self, name: str, flat: Any) -> Any:
        view = self._views[name]
        if not all(view.shape):
            return flat[:0].reshape(view.shape)
        strides = tuple(s * flat.itemsize for s in view.strides)
        return np.lib.stride_tricks.as_strided(flat, view.shape, strides, writeable=False)
