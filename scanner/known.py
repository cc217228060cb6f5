"""Adapters that were seen before, by the fingerprints of their deltas, and the search for copies among them."""

from __future__ import annotations

import hashlib
import json
import math
import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from scanner import cache
from scanner.delta import delta as deltas
from scanner.delta.fingerprint import BITS, Fingerprint, fingerprint, handwriting
from scanner.delta.lowrank import ModuleDelta
from scanner.errors import ScanError, UnreadableAdapter
from scanner.files.adapter import Adapter
from scanner.files.safetensors_file import SafetensorsFile
from scanner.files.text import printable

FORMAT = "unmask index 1"
COPY = 6
"""Differing bits of 64 up to which a module counts as a copy: a cosine near 0.95. Unrelated modules get there once in 10^11."""
ALIKE = 0.7
"""Similarity over all common modules from which an adapter is told although no module is a copy."""
SURE = -9.0
"""log10 of the chance, over the whole index, below which a match is told."""
_ROWS = 16384
Bits = np.ndarray[Any, np.dtype[np.uint64]]


class Entry(msgspec.Struct, frozen=True):
    """One known adapter."""

    name: str
    sha256: str
    """Of the whole folder, as unmask hashes it."""
    module: str = ""
    """The module whose handwriting was taken."""
    handwriting: int = 0
    """64 bits of its factors as they are written, which a refactorisation changes and a copy does not."""
    note: str = ""
    bad: bool = False


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """A known adapter that shares modules with the one looked for."""

    entry: Entry
    common: int
    """Modules that both have."""
    copied: int
    """Of them, those that are copies."""
    known: int
    """Modules of the known adapter."""
    similarity: float
    """Cosine between the two deltas over all common modules, singular values under a square root, estimated from the bits."""
    log10_chance: float
    """Bound of the chance that any unrelated adapter in the index comes as near."""


class _Layout:
    """All adapters that have the same modules."""

    def __init__(self, modules: tuple[str, ...], rows: Any, bits: Bits) -> None:
        """`rows` (n,) are positions in the index's entries, `bits` is (modules, n)."""
        self.modules, self.rows, self.bits = modules, rows, bits


class Index:
    """Known adapters, searched by Hamming distance: O(adapters x modules in common), a few milliseconds for a thousand adapters."""

    def __init__(self, key: bytes, entries: Sequence[Entry] = (), layouts: Sequence[_Layout] = ()) -> None:
        """`key` makes the fingerprints; an index should be kept from those it is used against."""
        self.key, self.entries, self._layouts = key, list(entries), list(layouts)

    @classmethod
    def new(cls) -> Index:
        """An empty index with a random key."""
        return cls(secrets.token_bytes(32))

    @classmethod
    def of(cls, adapters: Iterable[tuple[Entry, Fingerprint]], key: bytes) -> Index:
        """An index of fingerprints made with `key`."""
        entries: list[Entry] = []
        groups: dict[tuple[str, ...], list[tuple[int, list[int]]]] = {}
        for entry, prints in adapters:
            modules = tuple(sorted(prints))
            groups.setdefault(modules, []).append((len(entries), [prints[m] for m in modules]))
            entries.append(entry)
        layouts = [
            _Layout(modules, np.array([r for r, _ in rows], np.uint32), np.array([b for _, b in rows], np.uint64).reshape(len(rows), len(modules)).T.copy())
            for modules, rows in groups.items()
        ]
        return cls(key, entries, layouts)

    def extended(self, adapters: Iterable[tuple[Entry, Fingerprint]]) -> Index:
        """The index with `adapters` besides; one that is in it already, by its SHA-256, is replaced."""
        new = Index.of({entry.sha256: (entry, prints) for entry, prints in adapters}.values(), self.key)
        replaced = {entry.sha256 for entry in new.entries}
        stays = np.array([entry.sha256 not in replaced for entry in self.entries], bool)
        place = np.cumsum(stays) - 1
        kept = [entry for entry, stay in zip(self.entries, stays.tolist(), strict=True) if stay]
        layouts = {layout.modules: _Layout(layout.modules, layout.rows + len(kept), layout.bits) for layout in new._layouts}
        for layout in self._layouts:
            mask = stays[layout.rows]
            rows, bits = place[layout.rows[mask]].astype(np.uint32), layout.bits[:, mask]
            if layout.modules in layouts:
                more = layouts[layout.modules]
                rows, bits = np.concatenate([rows, more.rows]), np.concatenate([bits, more.bits], axis=1)
            layouts[layout.modules] = _Layout(layout.modules, rows, bits)
        return Index(self.key, [*kept, *new.entries], [found for found in layouts.values() if len(found.rows)])

    def items(self) -> Iterator[tuple[Entry, Fingerprint]]:
        """Everything in it."""
        for layout in self._layouts:
            for at, row in enumerate(layout.rows.tolist()):
                yield self.entries[row], dict(zip(layout.modules, layout.bits[:, at].tolist(), strict=True))

    def search(self, wanted: Fingerprint, most: int = 5) -> list[Match]:
        """The adapters of which `wanted` holds copies of modules, beyond chance, best first; at most `most`."""
        found: list[Match] = []
        for layout in self._layouts:
            common = [i for i, m in enumerate(layout.modules) if m in wanted]
            if not common:
                continue
            asked = np.array([wanted[layout.modules[i]] for i in common], np.uint64)
            for start in range(0, len(layout.rows), _ROWS):
                copied, distance = _compare(layout.bits[:, start : start + _ROWS], common, asked)
                best = np.union1d(np.argsort(-copied, kind="stable")[:most], np.argsort(distance, kind="stable")[:most])
                for at in best.tolist():
                    entry = self.entries[int(layout.rows[start + at])]
                    found.append(self._match(entry, len(common), len(layout.modules), int(copied[at]), int(distance[at])))
        sure = [m for m in found if m.log10_chance <= SURE and (m.copied or m.similarity >= ALIKE)]
        return sorted(sure, key=lambda m: (-m.copied, -m.similarity, m.entry.name, m.entry.sha256))[:most]

    def _match(self, entry: Entry, common: int, known: int, copied: int, distance: int) -> Match:
        chance = min(_log10_chance(common, common, distance), _log10_chance(common, copied, COPY * copied))
        return Match(
            entry=entry,
            common=common,
            copied=copied,
            known=known,
            similarity=math.cos(math.pi * min(distance / (BITS * common), 0.5)),
            log10_chance=min(0.0, chance + math.log10(max(len(self.entries), 1))),
        )

    def hand(self, match: Match, modules: Sequence[ModuleDelta]) -> int | None:
        """Bits of 64 in which the handwriting of `modules` differs from the known adapter's: a few after rounding, 32 for unrelated factors.

        None where the module by which the known adapter's was taken is not among them.
        """
        same = next((m for m in modules if m.module == match.entry.module), None)
        return None if same is None else (handwriting(same, self.key) ^ match.entry.handwriting).bit_count()

    def save(self, path: Path) -> None:
        """Write the index, whole or not at all, as a safetensors file."""
        parts: list[tuple[str, str, tuple[int, ...], bytes]] = [_json("entries", self.entries)]
        for number, layout in enumerate(self._layouts):
            parts.append(_json(f"{number}.modules", layout.modules))
            parts.append((f"{number}.rows", "U32", layout.rows.shape, np.asarray(layout.rows, "<u4").tobytes()))
            parts.append((f"{number}.bits", "U64", layout.bits.shape, np.ascontiguousarray(layout.bits, "<u8").tobytes()))
        header: dict[str, Any] = {"__metadata__": {"format": FORMAT, "key": self.key.hex(), "layouts": str(len(self._layouts))}}
        at = 0
        for name, dtype, shape, data in parts:
            header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(data)]}
            at += len(data)
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        cache.write_atomic(path, len(text).to_bytes(8, "little") + text + b"".join(data for *_, data in parts))

    @classmethod
    def open(cls, path: Path) -> Index:
        """Read an index; the bits stay on disk until they are searched. Raises ScanError with one line when it is not one."""
        where = printable(path)
        try:
            file = SafetensorsFile(path)
            if file.metadata.get("format") != FORMAT:
                raise ScanError(f"{where}: not an index that this unmask reads; make one with `unmask index`")
            entries = msgspec.json.decode(b"".join(file.pieces("entries")), type=list[Entry])
            layouts = [_layout(file, number, len(entries)) for number in range(int(file.metadata["layouts"]))]
            return cls(bytes.fromhex(file.metadata["key"]), entries, layouts)
        except (UnreadableAdapter, KeyError, ValueError, msgspec.DecodeError) as error:
            raise ScanError(f"{where}: a broken index ({printable(error, 120)})") from None


def _layout(file: SafetensorsFile, number: int, entries: int) -> _Layout:
    modules = msgspec.json.decode(b"".join(file.pieces(f"{number}.modules")), type=tuple[str, ...])
    rows = np.frombuffer(b"".join(file.pieces(f"{number}.rows")), "<u4")
    tensor = file.tensors[f"{number}.bits"]
    if tensor.dtype != "U64" or tensor.shape != (len(modules), len(rows)) or (len(rows) and int(rows.max()) >= entries):
        raise ValueError(f"layout {number} does not fit its entries")
    bits = np.memmap(file.path, "<u8", "r", tensor.start, tensor.shape) if tensor.count else np.zeros(tensor.shape, "<u8")
    return _Layout(modules, rows, bits)


def _json(name: str, value: Any) -> tuple[str, str, tuple[int, ...], bytes]:
    data = msgspec.json.encode(value)
    return name, "U8", (len(data),), data


def _compare(bits: Bits, common: Sequence[int], asked: Bits) -> tuple[Any, Any]:
    """For each known adapter (n,): how many modules are copies, and how many bits differ over all common modules."""
    n = bits.shape[1]
    copied, distance = np.zeros(n, np.int32), np.zeros(n, np.int32)
    for module, want in zip(common, asked, strict=True):
        differing = np.bitwise_count(bits[module] ^ want)
        distance += differing
        copied += differing <= COPY
    return copied, distance


def _log10_chance(modules: int, chosen: int, distance: int) -> float:
    """log10 of a bound of the chance that some `chosen` of `modules` unrelated modules differ in `distance` bits or fewer, taken together."""
    if not chosen:
        return 0.0
    choices = math.lgamma(modules + 1) - math.lgamma(chosen + 1) - math.lgamma(modules - chosen + 1)
    n = BITS * chosen
    share = min(distance / n, 0.5)
    # Chernoff: P(Binomial(n, 1/2) <= share n) <= exp(-n KL(share, 1/2)).
    divergence = sum(p * math.log(2 * p) for p in (share, 1 - share) if p)
    return (choices - n * divergence) / math.log(10)


def open_known(path: Path) -> Index:
    """The index in the file `path`, or one made of all adapters in the folder `path`. Raises ScanError when it is neither."""
    if path.is_file():
        return Index.open(path)
    if not path.is_dir():
        raise ScanError(f"{printable(path)}: no such file or folder; give an index made by `unmask index`, or a folder of adapters")
    opened = [Adapter.open(f) for f in adapters_in(path)]
    if not opened:
        raise ScanError(f"{printable(path)}: no adapters in it; give an index made by `unmask index`, or a folder of adapters")
    key = hashlib.sha256("".join(sorted(a.sha256 for a in opened)).encode()).digest()
    return Index.of((take(a, key) for a in opened), key)


def adapters_in(folder: Path) -> list[Path]:
    """`folder` itself where it is an adapter, else the adapters among its folders, one level down, sorted."""
    from scanner.files.config import NAME

    if (folder / NAME).is_file():
        return [folder]
    return sorted(f for f in folder.iterdir() if (f / NAME).is_file())


def take(adapter: Adapter, key: bytes, note: str = "", bad: bool = False) -> tuple[Entry, Fingerprint]:
    """One adapter as the index keeps it."""
    modules = deltas.read(adapter).modules
    prints = fingerprint(modules, key)
    first = min((m for m in modules if m.module in prints), key=lambda m: m.module, default=None)
    name, hand = printable(adapter.folder.resolve().name, 120), handwriting(first, key) if first else 0
    return Entry(name, adapter.sha256, first.module if first else "", hand, note, bad), prints
