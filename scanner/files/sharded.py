"""Weights in several files, with transformers' index (`adapter_model.safetensors.index.json`) or without one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from scanner.errors import UnreadableAdapter
from scanner.files.gguf_file import GgufFile
from scanner.files.safetensors_file import SafetensorsFile
from scanner.files.strict_json import BadJson, load_object
from scanner.files.text import printable
from scanner.files.torch_file import TorchFile
from scanner.files.weights import MOST_FLAWS, Flaw, Floats, Integers, Irregularity, Tensor

LARGEST_INDEX = 16 * 1024 * 1024
MOST_SHARDS = 1000
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<of>\d{5})\.(?P<end>safetensors|bin)", re.ASCII)


class ShardedWeights:
    """Several weights files as one: a tensor is read from the shard that holds it."""

    def __init__(self, shards: Sequence[SafetensorsFile | TorchFile | GgufFile], index: dict[str, str] | None = None) -> None:
        """Join `shards`; `index` says which file each tensor is said to be in. Raises UnreadableAdapter when it names what is not there."""
        self.metadata: dict[str, str] = {}
        self._where: dict[str, SafetensorsFile | TorchFile | GgufFile] = {}
        flaws: list[Flaw] = []
        for shard in shards:
            self.metadata |= shard.metadata
            flaws += shard.flaws
            for name in shard.tensors:
                if name in self._where:
                    flaws.append(Flaw(Irregularity.AMBIGUOUS, f"'{printable(name, 80)}' is in two shards", printable(name, 200)))
                if name not in self._where or (index or {}).get(name) == shard.path.name:
                    self._where[name] = shard
        for name, file in (index or {}).items():
            if name not in self._where or self._where[name].path.name != file:
                raise UnreadableAdapter(f"the index says that '{printable(name, 80)}' is in {printable(file, 80)}, where it is not")
        extra = sorted(set(self._where) - set(index)) if index is not None else []
        flaws += [Flaw(Irregularity.AMBIGUOUS, f"'{printable(n, 80)}' is in a shard and not in the index", printable(n, 200)) for n in extra]
        self.flaws = tuple(flaws[:MOST_FLAWS])
        self.tensors: dict[str, Tensor] = {n: self._where[n].tensors[n] for n in sorted(self._where)}

    def read(self, name: str) -> Floats:
        """The tensor as float32, shape as declared. Raises UnreadableAdapter for a dtype that is not a float."""
        return self._where[name].read(name)

    def integers(self, name: str) -> Integers:
        """The tensor as int64, shape as declared. Raises UnreadableAdapter for a dtype that is not an integer."""
        return self._where[name].integers(name)

    def pieces(self, name: str) -> Iterator[bytes]:
        """The tensor's bytes as stored, at most 16 MiB at a time."""
        return self._where[name].pieces(name)


def read_index(path: Path) -> dict[str, str]:
    """Tensor name to file name, from an index. Raises UnreadableAdapter when it is not one, or names a file of another folder."""
    where = printable(path.name)
    try:
        with path.open("rb") as stream:
            index, _ = load_object(stream.read(LARGEST_INDEX + 1), LARGEST_INDEX)
    except (OSError, BadJson) as error:
        raise UnreadableAdapter(f"{where}: {printable(error, 160)}") from None
    names = index.get("weight_map")
    if not isinstance(names, dict) or not names or not all(isinstance(v, str) for v in names.values()):
        raise UnreadableAdapter(f"{where}: no weight_map of names to files")
    for file in set(names.values()):
        if Path(file).name != file or "\\" in file or file in ("", ".", ".."):
            raise UnreadableAdapter(f"{where}: names {printable(file, 80)}, which is not a file beside it")
    if len(set(names.values())) > MOST_SHARDS:
        raise UnreadableAdapter(f"{where}: more than {MOST_SHARDS:,} shards")
    return names


def numbered(names: Sequence[str], stem: str, end: str) -> list[str]:
    """Those of `names` that are shards of `STEM.END` by their names, in order. Raises UnreadableAdapter when some are missing."""
    found = {n: m for n in names if (m := _SHARD.fullmatch(n)) and m["stem"] == stem and m["end"] == end}
    if not found:
        return []
    of = {int(m["of"]) for m in found.values()}
    if len(of) != 1 or sorted(int(m["number"]) for m in found.values()) != list(range(1, max(of) + 1)):
        raise UnreadableAdapter(f"{printable(stem)}: shards are missing, {len(found)} of {max(of)} are here")
    return sorted(found)
