"""Where chat templates and settings lie in a folder, read with limits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from scanner.errors import UnreadableAdapter
from scanner.files.gguf_file import GgufFile
from scanner.files.strict_json import BadJson, load_object

LARGEST_TEMPLATE = 128 * 1024
LARGEST_SETTINGS = 8 * 1024 * 1024
SETTINGS = ("tokenizer_config.json", "chat_template.json", "processor_config.json", "preprocessor_config.json")
KEY = "chat_template"
MOST_VALUES = 64
FOLDERS = ("additional_chat_templates", "chat_templates")


class Template(msgspec.Struct, frozen=True):
    """One chat template as written."""

    file: str
    """Path below the folder."""
    name: str
    """`default`, or what a named template is asked for by."""
    text: str
    """At most one character more than LARGEST_TEMPLATE."""


def templates(root: Path, paths: Iterable[str]) -> Iterator[Template]:
    """Every chat template in the files `paths` below `root`, in path order; settings that cannot be read hold none."""
    for path in sorted(paths):
        place = PurePosixPath(path)
        if place.suffix in (".jinja", ".jinja2"):
            name = "default" if place.stem == "chat_template" else place.stem
            yield Template(path, name, head(root / path, LARGEST_TEMPLATE).decode("utf-8", "replace"))
        elif place.suffix == ".gguf":
            yield from _of_gguf(root / path, path)
        elif place.name in SETTINGS:
            data = head(root / path, LARGEST_SETTINGS)
            try:
                found, twice = load_object(data, LARGEST_SETTINGS)
            except BadJson:
                continue
            for value in _each(data) if KEY in twice else [found.get(KEY)]:
                yield from _named(path, value)


def _of_gguf(path: Path, shown: str) -> Iterator[Template]:
    """The templates in a GGUF file's fields; one that breaks its format holds none."""
    try:
        fields = GgufFile(path).fields
    except UnreadableAdapter:
        return
    for key, value in sorted(fields.items()):
        if key.startswith(f"tokenizer.{KEY}") and isinstance(value, str):
            yield Template(shown, key.removeprefix(f"tokenizer.{KEY}").removeprefix(".") or "default", value[: LARGEST_TEMPLATE + 1])


def _named(path: str, value: Any) -> Iterator[Template]:
    """The templates in the value of `chat_template`: text, a list of named ones, or a map."""
    several = [{"name": k, "template": v} for k, v in value.items()] if isinstance(value, dict) else value
    for item in several if isinstance(several, list) else [{"name": "default", "template": value}]:
        if isinstance(item, dict) and isinstance(item.get("template"), str):
            yield Template(path, str(item.get("name")), item["template"])


def _each(data: bytes) -> list[Any]:
    """Every value of `chat_template` where the key is written more than once; `data` was read as JSON before."""
    found: list[Any] = []

    def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found.extend(value for key, value in pairs if key == KEY)
        return dict(pairs)

    json.loads(data.decode("utf-8-sig"), object_pairs_hook=keep)
    return found[:MOST_VALUES]


def settings(path: Path) -> dict[str, Any]:
    """A JSON object of settings. Raises BadJson when it is not one, or too large."""
    return settings_and_repeats(path)[0]


def settings_and_repeats(path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A JSON object of settings, and the keys that are written twice. Raises BadJson when it is not one, or too large."""
    return load_object(head(path, LARGEST_SETTINGS), LARGEST_SETTINGS)


def head(path: Path, most: int) -> bytes:
    """The first `most` + 1 bytes of the file."""
    with path.open("rb") as stream:
        return stream.read(most + 1)


def beside(root: Path) -> list[str]:
    """Files that lie in the trusted folder `root` or in one of its folders for templates."""
    return sorted(p.relative_to(root).as_posix() for where in (root, *(root / f for f in FOLDERS)) if where.is_dir() for p in where.iterdir() if p.is_file())
