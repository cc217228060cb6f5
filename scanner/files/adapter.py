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
from scanner.files.safetensors_file import SafetensorsFile
from scanner.files.text import printable

WEIGHTS = "adapter_model.safetensors"


class Adapter(msgspec.Struct, frozen=True):
    """Files, configuration, card and tensors of one PEFT adapter folder."""

    folder: Path
    files: tuple[File, ...]
    config_file: ConfigFile
    card: Card | None
    weights: SafetensorsFile

    @classmethod
    def open(cls, path: Path | str) -> Adapter:
        """Read the adapter in the folder `path`.

        Raises UnreadableAdapter, with one line that says what is wrong, when the folder is not a PEFT adapter or a file in
        it breaks its format.
        """
        folder = Path(path)
        if not folder.exists():
            raise UnreadableAdapter(f"{printable(path)}: no such folder")
        if not folder.is_dir():
            raise UnreadableAdapter(f"{printable(path)}: is a file; give the folder that holds {config.NAME} and {WEIGHTS}")
        settings = config.read(folder)
        files = inventory.take(folder)
        found = {f.path: f for f in files}
        if WEIGHTS not in found:
            other = [n for n in ("adapter_model.bin", "adapter_model.pt") if n in found]
            hint = f"only {other[0]}, a pickle, which is never loaded: ask for safetensors" if other else f"no {WEIGHTS}"
            raise UnreadableAdapter(f"{printable(folder)}: {hint}")
        if found[WEIGHTS].kind is Kind.LFS_POINTER:
            raise UnreadableAdapter(f"{WEIGHTS}: a Git LFS pointer, not the weights; run `git lfs pull` first")
        if found[WEIGHTS].kind is Kind.LINK:
            raise UnreadableAdapter(f"{WEIGHTS}: a link out of the folder, which is not followed")
        return cls(folder, files, settings, card.read(folder), SafetensorsFile(folder / WEIGHTS))

    @property
    def config(self) -> AdapterConfig:
        """The configuration's typed fields."""
        return self.config_file.config

    @property
    def sha256(self) -> str:
        """One hash for the whole folder: SHA-256 over `sha256  path` lines in path order."""
        lines = "".join(f"{f.sha256 or '-'}  {f.path}\n" for f in self.files)
        return hashlib.sha256(lines.encode("utf-8", "backslashreplace")).hexdigest()
