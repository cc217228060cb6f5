"""Where the adapter is in what was given to be scanned."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from scanner.errors import UnreadableAdapter
from scanner.files import config
from scanner.files.gguf_file import MAGIC
from scanner.files.inventory import MOST_FILES, inside
from scanner.files.sharded import numbered, read_index
from scanner.files.text import printable
from scanner.files.torch_file import TorchFile

STEM = "adapter_model"
ENDS = ("safetensors", "bin", "pt")
"""In the order in which loaders prefer them: PEFT takes safetensors before bin, vLLM knows pt too."""
ZIP = b"PK\x03\x04"
_CACHE = {"blobs", "refs", "snapshots", ".no_exist"}
_BLOB = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})(?:\.[\w-]{1,80})?(?:\.incomplete)?", re.ASCII)
"""Blobs of the cache: named by SHA-1 or SHA-256, or still on their way."""
_COMMIT = re.compile(rb"[0-9a-f]{40}|[0-9a-f]{64}")
_LONGEST_MARK = 66
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
    """The one snapshot, where `folder` is a repository of the Hugging Face cache and nothing else; `folder` itself otherwise.

    A loader that is given such a folder finds nothing in it. What holds anything more could be loaded as it stands, and is scanned as it stands.
    """
    if not _is_cached(folder):
        return folder
    found = sorted((folder / "snapshots").iterdir())
    if len(found) != 1:
        raise UnreadableAdapter(f"{printable(folder)}: holds {len(found)} snapshots; give one of them")
    return found[0]


def _is_cached(folder: Path) -> bool:
    """Whether `folder` holds what huggingface_hub writes and nothing besides: blobs named by their hash, refs that are commits, empty marks, snapshots."""
    here = {e.name: e for e in os.scandir(folder)}
    if not {"blobs", "snapshots"} <= here.keys() <= _CACHE or not all(e.is_dir(follow_symlinks=False) for e in here.values()):
        return False
    if not all(e.is_dir(follow_symlinks=False) for e in os.scandir(folder / "snapshots")):
        return False
    if not all(e.is_file(follow_symlinks=False) and _BLOB.fullmatch(e.name) for e in os.scandir(folder / "blobs")):
        return False
    marks = list(itertools.islice((p for name in ("refs", ".no_exist") for p in _leaves(folder / name)), MOST_FILES))
    return len(marks) < MOST_FILES and all(map(_is_mark, marks))


def _leaves(folder: Path) -> Iterator[Path]:
    """Everything below `folder` that is not a folder itself; links are not followed."""
    for here, folders, names in os.walk(folder, followlinks=False):
        yield from (Path(here) / n for n in names)
        yield from (Path(here) / n for n in folders if (Path(here) / n).is_symlink())


def _is_mark(path: Path) -> bool:
    """Whether the file is empty, or a commit and nothing else."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > _LONGEST_MARK:
        return False
    return not (text := path.read_bytes().strip()) or _COMMIT.fullmatch(text) is not None


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
            if not inside(folder / f"{whole}.index.json", root):
                raise UnreadableAdapter(f"{whole}.index.json: a link out of the folder or not a regular file, which is not read")
            index = read_index(folder / f"{whole}.index.json")
            missing = sorted(set(index.values()) - set(names))
            if missing:
                raise UnreadableAdapter(f"{printable(folder)}: the index names {printable(missing[0], 80)}, which is not here")
            return Place(root, folder, tuple(folder / n for n in sorted(set(index.values()))), index)
        if shards := numbered(names, STEM, end):
            return Place(root, folder, tuple(folder / n for n in shards))
    raise UnreadableAdapter(f"{printable(folder)}: no {STEM}.safetensors or {STEM}.bin")
