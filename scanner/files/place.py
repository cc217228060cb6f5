"""Where the adapter is in what was given to be scanned."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from scanner.errors import UnreadableAdapter
from scanner.files import config
from scanner.files.sharded import numbered, read_index
from scanner.files.text import printable

STEM = "adapter_model"
ENDS = ("safetensors", "bin", "pt")
"""In the order in which loaders prefer them: PEFT takes safetensors before bin, vLLM knows pt too."""
DEEPEST = 4
MOST_FOLDERS = 2_000


class Place(msgspec.Struct, frozen=True):
    """One adapter: what to take stock of, where its configuration lies, and its weights file or shards."""

    root: Path
    folder: Path
    weights: tuple[Path, ...]
    index: dict[str, str] | None = None
    """Tensor name to file name, for shards with an index."""


def find(path: Path) -> Place:
    """The adapter at `path`. Raises UnreadableAdapter when there is none, or more than one to choose from."""
    if not path.exists():
        raise UnreadableAdapter(f"{printable(path)}: no such file or folder")
    if path.is_dir():
        folder = path if _configured(path) else _only(path)
        return _with_weights(path, folder)
    if path.name == config.NAME or not _configured(path.parent):
        raise UnreadableAdapter(f"{printable(path)}: give the folder that holds {config.NAME} and the weights, or the weights file beside it")
    return Place(path.parent, path.parent, (path,))


def _configured(folder: Path) -> bool:
    return os.path.lexists(folder / config.NAME)


def _only(root: Path) -> Path:
    """The one folder below `root` that holds an adapter."""
    found: list[Path] = []
    for seen, (here, folders, names) in enumerate(os.walk(root, followlinks=False)):
        depth = len(Path(here).relative_to(root).parts)
        folders[:] = sorted(f for f in folders if f != ".git") if depth < DEEPEST and seen < MOST_FOLDERS else []
        if config.NAME in names:
            found.append(Path(here))
    if not found:
        raise UnreadableAdapter(f"{printable(root)}: no {config.NAME}, here or in a folder below, so this is not a PEFT adapter folder")
    if len(found) > 1:
        choices = ", ".join(printable(p.relative_to(root), 60) for p in sorted(found)[:8])
        raise UnreadableAdapter(f"{printable(root)}: holds {len(found)} adapters; give one of them: {choices}{', …' if len(found) > 8 else ''}")
    return found[0]


def _with_weights(root: Path, folder: Path) -> Place:
    names = sorted(p.name for p in folder.iterdir())
    for end in ENDS:
        whole = f"{STEM}.{end}"
        if whole in names:
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
