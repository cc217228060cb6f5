"""What a case is: a small adapter made from nothing, and what a scan of its files should say."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

FAMILIES = (
    "pickles", "packed", "files", "container", "gguf", "loading", "weights", "configuration",
    "templates", "wrapper", "names", "uploads", "provenance", "card", "honest", "peft",
)  # fmt: skip


class Expect(StrEnum):
    """What a scan of the files alone should come to; a malicious case may always be treated more firmly."""

    BLOCK = "block"
    """Exit code 1: a fact about the files."""
    REFUSE = "refuse"
    """Exit code 2 with one line (the file breaks its format, or cannot be examined), or a block."""
    REVIEW = "review"
    """Somebody must look: `--fail-on review` stops it."""
    NOTE = "note"
    """A finding names it; it happens in honest files too often to stop them."""
    BEHAVIOUR = "behaviour"
    """Nothing in the files tells it from an honest adapter; only running it can."""
    LOOK = "look"
    """An honest file with something in it that somebody should see: at most a review, never stopped by default."""
    CLEAN = "clean"
    """An honest file: the scan passes."""


_FIRMNESS = {"pass": 0, "review": 1, "incomplete": 2, "refused": 2, "block": 3}


def met(expect: Expect, outcome: str, findings: int) -> bool:
    """Whether a scan that came to `outcome` (pass, review, incomplete, refused, block) with so many findings does what is expected."""
    firmness = _FIRMNESS.get(outcome)
    if firmness is None:
        return False
    match expect:
        case Expect.BLOCK:
            return firmness == 3
        case Expect.REFUSE:
            return firmness >= 2
        case Expect.REVIEW:
            return firmness >= 1
        case Expect.NOTE:
            return firmness >= 1 or findings > 0
        case Expect.BEHAVIOUR:
            return True
        case Expect.LOOK:
            return firmness <= 1
        case Expect.CLEAN:
            return firmness == 0


Maker = Callable[[Path], Path | None]


@dataclass(frozen=True)
class Case:
    """One case. `make` writes it into an empty folder and returns what to scan, the folder itself where it returns None."""

    id: str
    family: str
    what: str
    expect: Expect
    make: Maker

    @property
    def honest(self) -> bool:
        """Whether an alarm would be false."""
        return self.expect in (Expect.CLEAN, Expect.LOOK)

    def build(self, folder: Path) -> Path:
        """Write the case into `folder`, made where it is missing; returns the path to scan."""
        folder.mkdir(parents=True, exist_ok=True)
        return self.make(folder) or folder


class Family:
    """Cases of one kind; the docstring of each function says what it is."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cases: list[Case] = []

    def case(self, expect: Expect) -> Callable[[Maker], Maker]:
        """Declare one case."""

        def declare(make: Maker) -> Maker:
            self._add(make.__name__, _first_line(make), expect, make)
            return make

        return declare

    def each(self, expect: Expect, variants: Mapping[str, Any]) -> Callable[[Callable[[Path, Any], Path | None]], Callable[[Path, Any], Path | None]]:
        """Declare one case for every variant: suffix of its id, and what is passed to the function. `{}` in the docstring is the suffix."""

        def declare(make: Callable[[Path, Any], Path | None]) -> Callable[[Path, Any], Path | None]:
            for suffix, value in variants.items():
                self._add(f"{make.__name__}-{suffix}", _first_line(make).replace("{}", suffix), expect, functools.partial(_call, make, value))
            return make

        return declare

    def _add(self, name: str, what: str, expect: Expect, make: Maker) -> None:
        self.cases.append(Case(f"{self.name}-{name}".replace("_", "-"), self.name, what, expect, make))


def _call(make: Callable[[Path, Any], Path | None], value: Any, folder: Path) -> Path | None:
    return make(folder, value)


def _first_line(make: Callable[..., Any]) -> str:
    return (make.__doc__ or "").strip().splitlines()[0].rstrip(".")


def cases() -> tuple[Case, ...]:
    """Every case, family by family."""
    return tuple(case for name in FAMILIES for case in importlib.import_module(f"benchmarks.evasions.{name}").FAMILY.cases)
