"""Every pair of the zoo in the order of training: each family once before any twice, the splits in turn, so that half a zoo is of both."""

from __future__ import annotations

import importlib
import pkgutil

from benchmarks.zoo import families
from benchmarks.zoo.pair import AnyPair


def pairs() -> list[AnyPair]:
    """All pairs that the modules of `benchmarks.zoo.families` declare."""
    found: list[list[AnyPair]] = []
    for module in sorted(m.name for m in pkgutil.iter_modules(families.__path__)):
        found.append(list(importlib.import_module(f"benchmarks.zoo.families.{module}").PAIRS))
    found.sort(key=lambda f: type(f[0]).__name__ == "Assembled")
    turned = [family[n % 2 :] + family[: n % 2] for n, family in enumerate(found)]
    return [family[i] for i in range(max(map(len, turned))) for family in turned if i < len(family)]
