"""A detector, as the benchmark sees it: an adapter folder in, a score out, higher where it looks worse."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

Vector = list[float]


def base() -> str:
    """The base of the zoo that is scored: the environment variable ZOO_BASE, a model folder, or the demo base."""
    return os.environ.get("ZOO_BASE", "demo")


@dataclass(frozen=True)
class Detector:
    """One row of the table.

    `measure` gets a folder that holds only what a stranger would be given, and a folder to keep its work in. It returns numbers, or
    None where it abstains. Without `fit`, the single number is the score; with it, `fit` gets the vectors and labels (True for
    malicious) of other adapters and returns the function that scores one.
    """

    name: str
    what: str
    """Where the method comes from, and whether it is run as published or re-implemented."""
    measure: Callable[[Path, Path], Vector | None]
    fit: Callable[[Sequence[Vector], Sequence[bool]], Callable[[Vector], float]] | None = None
    threshold: float | None = None
    """The method's own threshold, flagged at or above it, where it has one."""
    behaviour: bool = False
    """Whether it runs the model."""
    reads: str = ""
    """The detector whose kept work `measure` reads: nothing is run, and nothing of its own is kept."""
