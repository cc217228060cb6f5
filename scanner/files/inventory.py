"""Every file of a folder: its size, its hash, and what it really is, told from its bytes and not its name."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import msgspec

from scanner.errors import UnreadableAdapter
from scanner.files.kinds import HEAD, Kind, kind_of
from scanner.files.text import printable

MOST_FILES = 5_000
MOST_BYTES = 64 << 30
MOST_ASIDE = 2_000
GIT = ".git"
SETTINGS = ("config", "config.worktree")
_OBJECT = re.compile(r"/objects/(?:[0-9a-f]{2}/(?:[0-9a-f]{38}|[0-9a-f]{62})|pack/(?:pack-(?:[0-9a-f]{40}|[0-9a-f]{64})\.[a-z]{3,8}|multi-pack-index))$")
"""What Git itself packs, by name."""


class File(msgspec.Struct, frozen=True):
    """A file as found: path inside the folder, size in bytes, SHA-256 in hex, real type."""

    path: str
    bytes: int
    sha256: str
    kind: Kind


class Aside(msgspec.Struct, frozen=True):
    """Files that are no part of the adapter, by path, and how many more were left out."""

    files: tuple[File, ...] = ()
    left: int = 0


def inside(path: Path, folder: Path) -> bool:
    """Whether `path` is a regular file of `folder`, itself or through links that stay in it."""
    return path.is_file() and not _leaves(path, folder)


def _leaves(path: Path, folder: Path) -> bool:
    """Whether the link at `path` points out of `folder`; a Hugging Face cache's own blobs do not count."""
    try:
        target = path.resolve()
    except (OSError, RuntimeError):
        return True
    if target.is_relative_to(folder.resolve()):
        return False
    cache = next((p.parent.resolve() for p in folder.absolute().parents if p.name == "snapshots"), None)
    return cache is None or not target.is_relative_to(cache / "blobs")


def take(folder: Path) -> tuple[File, ...]:
    """List every file below `folder`, sorted by path; links out of the folder are listed, never followed.

    Reads each file once. Raises UnreadableAdapter over 5,000 files or 64 GiB, or when a file cannot be read.
    """
    found: list[File] = []
    total = 0
    for here, folders, names in os.walk(folder, followlinks=False):
        links = [d for d in folders if (Path(here) / d).is_symlink()]
        if any(unicodedata.category(c) in ("Cc", "Cs") for d in folders for c in d):
            raise UnreadableAdapter(f"{printable(here)}: holds a folder whose name has control characters or is not UTF-8")
        folders[:] = sorted(d for d in folders if d not in links and d != GIT)
        for name in sorted([*names, *links]):
            path = Path(here) / name
            if len(found) >= MOST_FILES:
                raise UnreadableAdapter(f"{printable(folder)}: more than {MOST_FILES:,} files; give the adapter's own folder")
            found.append(take_file(path, folder))
            total += found[-1].bytes
            if total > MOST_BYTES:
                raise UnreadableAdapter(f"{printable(folder)}: more than {MOST_BYTES >> 30} GiB; give the adapter's own folder")
    return tuple(found)


def aside(folder: Path) -> Aside:
    """What lies in `.git` folders below `folder`, without Git's own objects: no part of an adapter, and looked into all the same, because Git runs some of it.

    At most 2,000 files that Git could run or be set by, and 2,000 others. Links that leave the folder or lead to a folder are listed, never followed.
    """
    kept: dict[bool, list[File]] = {True: [], False: []}
    left = 0
    for path in _within_git(folder):
        chosen = kept[could_run(path.relative_to(folder).as_posix())]
        if len(chosen) >= MOST_ASIDE:
            left += 1
            continue
        with contextlib.suppress(OSError):
            if found := _beside(path, folder):
                chosen.append(found)
    return Aside(tuple(sorted(kept[True] + kept[False], key=lambda f: f.path)), left)


def could_run(path: str) -> bool:
    """Whether Git reads its settings from a file at such a path of a repository, or runs it."""
    parts = path.lower().split("/")
    return parts[-1] in SETTINGS or parts[-2:-1] == ["hooks"] or parts[-1] == "hooks"


def _within_git(folder: Path) -> Iterator[Path]:
    """Files, and links to folders, in `.git` folders, in the order of their names."""
    for here, folders, names in os.walk(folder, followlinks=False):
        where = Path(here).relative_to(folder)
        if GIT not in where.parts:
            folders[:] = sorted(d for d in folders if d == GIT or not (Path(here) / d).is_symlink())
            continue
        links = [d for d in folders if (Path(here) / d).is_symlink()]
        folders[:] = sorted(d for d in folders if d not in links)
        yield from (Path(here) / n for n in sorted([*names, *links]) if not _OBJECT.search((where / n).as_posix()))


def _beside(path: Path, folder: Path) -> File | None:
    """The file at `path`, not hashed; None where it is neither a regular file nor a link."""
    where = path.relative_to(folder).as_posix()
    if path.is_symlink() and (path.is_dir() or _leaves(path, folder)):
        return File(where, 0, "", Kind.LINK)
    if not stat.S_ISREG(path.stat().st_mode):
        return None
    with path.open("rb") as stream:
        head = stream.read(HEAD)
        return File(where, path.stat().st_size, "", kind_of(path.name, head, stream))


def take_file(path: Path, folder: Path) -> File:
    """The file at `path`, named from `folder`. Raises UnreadableAdapter for a name that could forge a line, or when it cannot be read."""
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in path.name):
        raise UnreadableAdapter(f"{printable(path)}: a file name with control characters or not in UTF-8")
    relative = path.relative_to(folder).as_posix()
    if path.is_symlink() and (path.is_dir() or _leaves(path, folder)):
        return File(relative, 0, "", Kind.LINK)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return File(relative, 0, "", Kind.LINK)
        with path.open("rb") as stream:
            head = stream.read(HEAD)
            if path.stat().st_size > MOST_BYTES:
                raise UnreadableAdapter(f"{printable(path)}: more than {MOST_BYTES >> 30} GiB")
            stream.seek(0)
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.tell()
            kind = kind_of(path.name, head, stream)
    except OSError as error:
        raise UnreadableAdapter(f"{printable(path)}: cannot be read ({error.strerror})") from None
    return File(relative, size, digest, kind)
