"""A set of requests that the user gives, with what identifies it in a result."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from scanner.errors import ScanError
from scanner.files.text import printable
from scanner.prompts.place import located
from scanner.prompts.prompt import Prompt
from scanner.prompts.published import PUBLISHED, Missing
from scanner.prompts.rows import read

LONGEST = 20_000
"""Characters of one request."""


class PromptSource(msgspec.Struct, frozen=True, kw_only=True):
    """Which set was asked, as a result records it."""

    set: str
    """`xstest`, `harmbench`, …"""
    title: str
    file: str
    """Its name, or the package or pinned commit it is from."""
    sha256: str
    """Of the file."""
    harmful: int
    harmless: int
    """Requests of each kind in the file, those asked twice counted once."""


class PromptSet(msgspec.Struct, frozen=True, kw_only=True):
    """The requests of one file."""

    source: PromptSource
    prompts: tuple[Prompt, ...]
    """In the file's order; ids are the set's name and the number of the row."""

    @classmethod
    def open(cls, name: str, place: Path | str, allow_hub: bool = False) -> PromptSet:
        """Read the file at `place` (`scanner.prompts.place`) as the published set `name`. Raises ScanError with one line where it is no such file."""
        if name not in PUBLISHED:
            raise ScanError(f"prompt set {printable(name, 40)}: unknown; choose {', '.join(PUBLISHED)}")
        path = located(place, allow_hub)
        published, where = PUBLISHED[name], printable(path, 200)
        data, rows = read(path)
        prompts: dict[str, Prompt] = {}
        for number, row in enumerate(rows, 1):
            try:
                taken = published.take(row)
            except Missing as error:
                raise ScanError(f"{where}: row {number:,} is not {published.title}'s ({error})") from None
            if taken is None:
                continue
            if len(taken.prompt) > LONGEST:
                raise ScanError(f"{where}: row {number:,} is longer than {LONGEST:,} characters")
            prompts.setdefault(taken.prompt, Prompt(f"{name}-{number}", taken.kind, printable(taken.category, 60) or "all", taken.prompt))
        if not prompts:
            raise ScanError(f"{where}: holds no request of {published.title}")
        harmful = sum(p.kind == "harmful" for p in prompts.values())
        source = PromptSource(
            set=name, title=published.title, file=printable(path.name if path == Path(place) else place, 200), sha256=hashlib.sha256(data).hexdigest(),
            harmful=harmful, harmless=len(prompts) - harmful,
        )  # fmt: skip
        return cls(source=source, prompts=tuple(prompts.values()))


def open_sets(given: Mapping[str, str | Path], allow_hub: bool = False) -> tuple[PromptSet, ...]:
    """Every set of `given`, a place (`scanner.prompts.place`) by the set's name, in the order of the names."""
    return tuple(PromptSet.open(name, given[name], allow_hub) for name in sorted(given))
