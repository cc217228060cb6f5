"""An adapter as it lies on disk, read without trust."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import msgspec

from scanner.errors import UnreadableAdapter
from scanner.files import card, config, inventory, place
from scanner.files.card import Card
from scanner.files.config import AdapterConfig, ConfigFile
from scanner.files.dialects import Dialect, translate
from scanner.files.gguf_file import MAGIC, GgufFile
from scanner.files.inventory import Aside, File
from scanner.files.kinds import Kind
from scanner.files.place import Place
from scanner.files.safetensors_file import SafetensorsFile
from scanner.files.sharded import ShardedWeights
from scanner.files.text import printable
from scanner.files.torch_file import TorchFile
from scanner.files.unpack import Unpacked, is_upload
from scanner.files.weights import Weights

NOTHING = ShardedWeights([])


class Adapter(msgspec.Struct, frozen=True, kw_only=True):
    """Files, configuration, card and tensors of one adapter."""

    name: str
    """The last part of the path that was given."""
    root: Path
    """What was given to be scanned, unpacked where it was packed; every file below it is in `files`."""
    folder: Path
    """Where configuration and weights lie: `root`, or a folder in it."""
    files: tuple[File, ...]
    """By path below `root`."""
    aside: Aside = Aside()
    """What lies in `.git` folders: looked into, and no part of the adapter or of its hash."""
    config_file: ConfigFile = ConfigFile(AdapterConfig(), {}, written=False)
    card: Card | None = None
    weights: Weights = NOTHING
    weights_files: tuple[str, ...] = ()
    """The files that `weights` reads, as paths below `root`."""
    dialect: Dialect = Dialect.PEFT
    problem: str = ""
    """Why configuration or weights could not be read; there are none then."""
    unpacked: Unpacked | None = None
    """Keeps `root` alive where an upload was unpacked."""

    @classmethod
    def open(cls, path: Path | str) -> Adapter:
        """Read the adapter at `path`: its folder, a folder that holds just one, its weights file, or a zip or tar of these.

        Raises UnreadableAdapter, with one line that says what is wrong, when there is no adapter or a file of it breaks its format.
        """
        adapter = cls.look(path)
        if adapter.problem:
            raise UnreadableAdapter(adapter.problem)
        return adapter

    @classmethod
    def look(cls, path: Path | str) -> Adapter:
        """Like `open`, but what has files and cannot be read as an adapter has a `problem` instead."""
        if path == "":
            raise UnreadableAdapter("an empty path, which names no adapter")
        given = Path(path)
        unpacked = Unpacked(given) if given.is_file() and is_upload(given) else None
        found = place.find(unpacked.folder if unpacked else given)
        files = (inventory.take_file(found.weights[0], found.root),) if found.alone else inventory.take(found.root)
        adapter = cls(
            name=given.resolve().name,
            root=found.root,
            folder=found.folder,
            files=files,
            aside=Aside() if found.alone else inventory.aside(found.root),
            unpacked=unpacked,
        )
        try:
            return adapter._read(found)
        except UnreadableAdapter as error:
            told = str(error).replace(printable(found.root), printable(given)) if unpacked else str(error)
            return msgspec.structs.replace(adapter, problem=told, card=card.read(found.folder))

    def _read(self, found: Place) -> Adapter:
        if found.problem:
            raise UnreadableAdapter(f"{found.problem}{_also_wrong(found.folder)}")
        settings = config.read(found.folder) if config.exists(found.folder) else None
        names = tuple(p.relative_to(found.root).as_posix() for p in found.weights)
        for file in self.files:
            if file.path in names and file.kind is Kind.LFS_POINTER:
                raise UnreadableAdapter(f"{printable(file.path)}: a Git LFS pointer, not the weights; run `git lfs pull` first")
            if file.path in names and file.kind is Kind.LINK:
                raise UnreadableAdapter(f"{printable(file.path)}: a link out of the folder, which is not followed")
        weights, dialect = _weights(found), Dialect.PEFT
        if settings is None:
            weights, raw, dialect = translate(weights, printable(names[0]))
            settings = ConfigFile(config.typed(raw), raw, written=False)
        return msgspec.structs.replace(self, config_file=settings, card=card.read(found.folder), weights=weights, weights_files=names, dialect=dialect)

    def beneath(self) -> Iterator[Adapter]:
        """Other adapters below `root`, in the order of their folders: wherever a configuration lies that is not this adapter's own."""
        for file in self.files:
            folder = self.root / PurePosixPath(file.path).parent
            if PurePosixPath(file.path).name != config.NAME or folder == self.folder:
                continue
            other = Adapter(name=folder.name, root=self.root, folder=folder, files=self.files)
            try:
                yield other._read(place.configured(self.root, folder))
            except UnreadableAdapter as error:
                yield msgspec.structs.replace(other, problem=str(error))

    def beside(self) -> list[File]:
        """Files in the folder of the configuration itself, not in those below."""
        where = PurePosixPath(self.folder.relative_to(self.root).as_posix())
        return [f for f in self.files if PurePosixPath(f.path).parent == where]

    @property
    def config(self) -> AdapterConfig:
        """The configuration's typed fields."""
        return self.config_file.config

    @property
    def sha256(self) -> str:
        """One hash for everything that was given: SHA-256 over `sha256  path` lines in path order."""
        lines = "".join(f"{f.sha256 or '-'}  {f.path}\n" for f in self.files)
        return hashlib.sha256(lines.encode("utf-8", "backslashreplace")).hexdigest()


def _also_wrong(folder: Path) -> str:
    """What is wrong with the configuration besides the weights that are missing, or an empty string."""
    try:
        if config.exists(folder):
            config.read(folder)
    except UnreadableAdapter as error:
        return f"; {error}"
    return ""


def _weights(found: Place) -> Weights:
    opened = [open_weights(p) for p in found.weights]
    return opened[0] if len(opened) == 1 and found.index is None else ShardedWeights(opened, found.index)


def open_weights(path: Path) -> SafetensorsFile | TorchFile | GgufFile:
    """The weights file at `path`, by what it is. Raises UnreadableAdapter when it breaks its format, or has none that is known."""
    with path.open("rb") as stream:
        head = stream.read(4)
    if head == MAGIC:
        return GgufFile(path)
    return TorchFile(path) if head == place.ZIP or path.suffix in (".bin", ".pt", ".pth", ".ckpt") else SafetensorsFile(path)
