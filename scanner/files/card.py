"""The model card: README.md, its front matter and its sections."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import yaml
from markdown_it import MarkdownIt

from scanner.files.inventory import inside
from scanner.files.text import printable

NAME = "README.md"
LARGEST = 512 * 1024
PLACEHOLDER = "[more information needed]"


_LABEL = re.compile(rf"^\W{{0,9}}\*\*[^*]{{1,60}}\*\*\W{{0,9}}{re.escape(PLACEHOLDER)}\W*$")


class Section(msgspec.Struct, frozen=True):
    """A heading and the text below it, up to the next heading; the text before the first one has an empty heading."""

    heading: str
    text: str

    @property
    def empty(self) -> bool:
        """Whether nothing but the template's placeholders and field labels is written here."""
        return not any(re.search(r"\w", _LABEL.sub("", line[:2000]).replace(PLACEHOLDER, "")) for line in _uncommented(self.text).lower().split("\n"))


class Card(msgspec.Struct, frozen=True):
    """A model card as written; everything in it is the uploader's word."""

    front_matter: dict[str, Any]
    sections: tuple[Section, ...]
    problem: str = ""
    """Why the front matter could not be read, where it could not."""

    def text(self, *words: str) -> str | None:
        """Text of the sections whose heading holds one of `words`; empty if only placeholders; None if there is none."""
        hits = [s for s in self.sections if any(w in s.heading.lower() for w in words)]
        return "\n".join(s.text.strip() for s in hits if not s.empty) if hits else None

    def declared(self, field: str, most: int = 20) -> tuple[str, ...]:
        """Text of a front matter field, one value or a list of them, fit to print."""
        value = self.front_matter.get(field)
        return tuple(printable(v, 200) for v in (value if isinstance(value, list) else [value])[:most] if isinstance(v, str) and v.strip())


class _NoAlias(yaml.SafeLoader):
    """Safe YAML without aliases, which a small file can use to grow without bound."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        return super().compose_node(parent, index)


def read(folder: Path) -> Card | None:
    """The card of `folder`, or None. At most 512 KiB are read; front matter that is not YAML is a `problem`, not an error."""
    if not inside(folder / NAME, folder):
        return None
    try:
        with (folder / NAME).open("rb") as stream:
            text = stream.read(LARGEST).decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
    except OSError:
        return None
    front: dict[str, Any] = {}
    problem = ""
    if text.startswith("---\n") and (end := text.find("\n---", 4)) > 0:
        try:
            loaded = yaml.load(text[4:end], Loader=_NoAlias)  # noqa: S506 - a SafeLoader
            front = loaded if isinstance(loaded, dict) else {}
            problem = "" if isinstance(loaded, dict | None) else f"a {type(loaded).__name__}, not fields"
        except Exception as error:  # PyYAML's constructors raise many kinds
            problem = printable(str(error).partition("\n")[0] or type(error).__name__)
        text = text[end + 4 :]
    elif text.startswith("---\n"):
        problem = "it does not end"
    return Card(front, _sections(text), problem)


def _uncommented(text: str) -> str:
    kept, _, rest = text.partition("<!--")
    while rest:
        _, closed, after = rest.partition("-->")
        if not closed:
            return f"{kept}<!--{rest}"
        plain, _, rest = after.partition("<!--")
        kept += plain
    return kept


def _sections(text: str) -> tuple[Section, ...]:
    lines = text.split("\n")
    tokens = MarkdownIt("zero").enable(["heading", "fence", "code"]).parse(text)
    heads = [(t.map[0], tokens[i + 1].content) for i, t in enumerate(tokens) if t.type == "heading_open" and t.map]
    starts = [(-1, ""), *heads]
    ends = [at for at, _ in heads] + [len(lines)]
    found = (Section(title, "\n".join(lines[at + 1 : end])) for (at, title), end in zip(starts, ends, strict=True))
    return tuple(s for s in found if s.heading or s.text.strip())
