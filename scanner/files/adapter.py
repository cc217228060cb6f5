"""An adapter as it lies on disk, read without trust."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from scanner.errors import UnreadableAdapter
from scanner.files import card, config, inventory
from scanner.files.card import Card
from scanner.files.config import AdapterConfig, ConfigFile
from scanner.files.inventory import File, Kind
from scanner.files.place import Place, find
from scanner.files.safetensors_file import SafetensorsFile
from scanner.files.sharded import ShardedWeights
from scanner.files.text import printable
from scanner.files.torch_file import TorchFile
from scanner.files.weights import Weights


class Adapter(msgspec.Struct, frozen=True):
    """Files, configuration, card and tensors of one adapter."""

    root: Path
    """What was given to be scanned; every file below it is in `files`."""
    folder: Path
    """Where configuration and weights lie: `root`, or a folder in it."""
    files: tuple[File, ...]
    """By path below `root`."""
    config_file: ConfigFile
    card: Card | None
    weights: Weights
    weights_files: tuple[str, ...]
    """The files that `weights` reads, as paths below `root`."""

    @classmethod
    def open(cls, path: Path | str) -> Adapter:
        """Read the adapter at `path`: its folder, a folder that holds just one, or its weights file.

        Raises UnreadableAdapter, with one line that says what is wrong, when there is no adapter or a file of it breaks its format.
        """
        place = find(Path(path))
        settings = config.read(place.folder)
        files = inventory.take(place.root)
        names = tuple(p.relative_to(place.root).as_posix() for p in place.weights)
        for file in files:
            if file.path not in names:
                continue
            if file.kind is Kind.LFS_POINTER:
                raise UnreadableAdapter(f"{printable(file.path)}: a Git LFS pointer, not the weights; run `git lfs pull` first")
            if file.kind is Kind.LINK:
                raise UnreadableAdapter(f"{printable(file.path)}: a link out of the folder, which is not followed")
        return cls(place.root, place.folder, files, settings, card.read(place.folder), _weights(place), names)

    @property
    def config(self) -> AdapterConfig:
        """The configuration's typed fields."""
        return self.config_file.config

    @property
    def sha256(self) -> str:
        """One hash for everything that was given: SHA-256 over `sha256  path` lines in path order."""
        lines = "".join(f"{f.sha256 or '-'}  {f.path}\n" for f in self.files)
        return hashlib.sha256(lines.encode("utf-8", "backslashreplace")).hexdigest()


def _weights(place: Place) -> Weights:
    opened: list[SafetensorsFile | TorchFile] = [TorchFile(p) if _zipped(p) else SafetensorsFile(p) for p in place.weights]
    return opened[0] if len(opened) == 1 and place.index is None else ShardedWeights(opened, place.index)


def _zipped(path: Path) -> bool:
    with path.open("rb") as stream:
        head = stream.read(4)
    return head == b"PK\x03\x04" or path.suffix != ".safetensors"
