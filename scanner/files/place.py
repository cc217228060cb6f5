"""Where the adapter is in what was given to be scanned."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from scanner.errors import UnreadableAdapter
from scanner.files import config
from scanner.files.gguf_file import MAGIC
from scanner.files.inventory import inside
from scanner.files.sharded import numbered, read_index
from scanner.files.text import printable
from scanner.files.torch_file import TorchFile

STEM = "adapter_model"
ENDS = ("safetensors", "bin", "pt")
"""In the order in which loaders prefer them: PEFT takes safetensors before bin, vLLM knows pt too."""
ZIP = b"PK\x03\x04"
DEEPEST = 4
MOST_FOLDERS = 2_000


class Place(msgspec.Struct, frozen=True):
    """One adapter: what to take stock of, where its configuration lies, and its weights file or shards."""

    root: Path
    folder: Path
    weights: tuple[Path, ...] = ()
    index: dict[str, str] | None = None
    """Tensor name to file name, for shards with an index."""
    alone: bool = False
    """Whether the weights are a file without a configuration beside it, so that what else lies there is not part of it."""
    problem: str = ""
    """Why there is no adapter to open, where there is none."""


def find(path: Path) -> Place:
    """The adapter at `path`, or the problem. Raises UnreadableAdapter when there is nothing at all."""
    if not path.exists():
        raise UnreadableAdapter(f"{printable(path)}: no such file or folder")
    if path.is_dir():
        root = folder = path
        try:
            root = folder = _snapshot(path)
            folder = root if config.exists(root) else _only(root)
            return configured(root, folder) if config.exists(folder) else Place(root, folder, (_single(folder),))
        except UnreadableAdapter as error:
            return Place(root, folder, problem=str(error))
    if not path.is_file():
        raise UnreadableAdapter(f"{printable(path)}: not a regular file")
    return Place(path.parent, path.parent, (path,), alone=not config.exists(path.parent))


def is_weights(path: Path) -> bool:
    """Whether the file is safetensors or GGUF by its first bytes, or a torch file that holds tensors by name."""
    with path.open("rb") as stream:
        head = stream.read(16)
    if head.startswith(ZIP):
        try:
            return bool(TorchFile(path).tensors)
        except UnreadableAdapter:
            return False
    return head.startswith(MAGIC) or (head[8:].lstrip(b" \t\r\n").startswith(b"{") and int.from_bytes(head[:8], "little") <= path.stat().st_size)


def _snapshot(folder: Path) -> Path:
    """The one snapshot, where `folder` is a repository of the Hugging Face cache."""
    if not all((folder / n).is_dir() for n in ("blobs", "snapshots")):
        return folder
    found = sorted(p for p in (folder / "snapshots").iterdir() if p.is_dir())
    if len(found) != 1:
        raise UnreadableAdapter(f"{printable(folder)}: holds {len(found)} snapshots; give one of them")
    return found[0]


def _only(root: Path) -> Path:
    """The one folder in or below `root` that holds an adapter: with a configuration, or, where none has one, a single weights file."""
    configured: list[Path] = []
    bare: list[Path] = []
    for seen, (here, folders, names) in enumerate(os.walk(root, followlinks=False)):
        depth = len(Path(here).relative_to(root).parts)
        folders[:] = sorted(f for f in folders if f != ".git") if depth < DEEPEST and seen < MOST_FOLDERS else []
        if config.NAME in names:
            configured.append(Path(here))
        elif any(inside(Path(here) / n, root) and is_weights(Path(here) / n) for n in names):
            bare.append(Path(here))
    found = configured or bare
    if not found and any(p.suffix == ".npy" for p in root.iterdir()):
        raise UnreadableAdapter(f"{printable(root)}: NumPy's arrays, as MLX once wrote adapters, which are not read; convert it to PEFT")
    if not found:
        raise UnreadableAdapter(f"{printable(root)}: no {config.NAME} and no weights, here or in a folder below, so this is not an adapter")
    if len(found) > 1:
        choices = ", ".join(printable(p.relative_to(root), 60) for p in sorted(found)[:8])
        raise UnreadableAdapter(f"{printable(root)}: holds {len(found)} adapters; give one of them: {choices}{', …' if len(found) > 8 else ''}")
    return found[0]


def _single(folder: Path) -> Path:
    """The one weights file of a folder without a configuration."""
    found = sorted(p for p in folder.iterdir() if inside(p, folder) and is_weights(p))
    if len(found) > 1:
        choices = ", ".join(printable(p.name, 60) for p in found[:8])
        raise UnreadableAdapter(
            f"{printable(folder)}: no {config.NAME}, and {len(found)} weights files; give one of them: {choices}{', …' if len(found) > 8 else ''}"
        )
    return found[0]


def configured(root: Path, folder: Path) -> Place:
    """The adapter whose configuration lies in `folder`. Raises UnreadableAdapter when its weights are missing or incomplete."""
    names = sorted(p.name for p in folder.iterdir())
    for end in ENDS:
        whole = f"{STEM}.{end}"
        if whole in names:
            if (folder / whole).is_dir():
                raise UnreadableAdapter(f"{whole}: a folder, and not the weights")
            return Place(root, folder, (folder / whole,))
        if f"{whole}.index.json" in names:
            index = read_index(folder / f"{whole}.index.json")
            missing = sorted(set(index.values()) - set(names))
            if missing:
                raise UnreadableAdapter(f"{printable(folder)}: the index names {printable(missing[0], 80)}, which is not here")
            return Place(root, folder, tuple(folder / n for n in sorted(set(index.values()))), index)
        if shards := numbered(names, STEM, end):
            return Place(root, folder, tuple(folder / n for n in shards))
    raise UnreadableAdapter(f"{printable(folder)}: no {STEM}.safetensors or {STEM}.bin")
