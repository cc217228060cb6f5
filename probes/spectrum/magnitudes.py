"""DoRA's magnitudes by themselves: each is the length of a row of the adapted weight, so it is positive, and near 1 in a trained model.

Liu et al. 2024, arXiv 2402.09353, eq. 5. A row of length m turns white input of unit variance into an output of standard deviation m.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from scanner.delta.lowrank import ModuleDelta
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.rule import ATLAS_ERODE_INTEGRITY, OWASP_POISONING, Basis, Rule, Severity

LARGEST = 100.0
"""Median length of a row; the largest in published models stay near 10."""

MAGNITUDE = Rule(
    id="dora-magnitude",
    title="DoRA magnitudes that no training leaves",
    severity=Severity.MEDIUM,
    basis=Basis.STATISTIC,
    meaning=f"A magnitude is negative, or half of a module's magnitudes are above {LARGEST:g}.",
    why="They begin as the lengths of the base's rows and training moves them little. A negative one turns an output of the base around; large ones drown it.",
    fix="Scan with the base, which tells how far each row is from it; ask for the training recipe.",
    references=(ATLAS_ERODE_INTEGRITY, OWASP_POISONING),
)


def magnitudes(modules: Sequence[ModuleDelta]) -> Iterator[Finding]:
    """At most one finding; reads only the magnitudes, one number a row."""
    odd = []
    for module in modules:
        values = module.magnitude
        if values is None or not values.size:
            continue
        middle, negative = float(np.median(np.abs(values))), int((values < 0).sum())
        if negative or (middle > LARGEST and not module.columns):
            odd.append((negative, middle, module.module, values.size))
    if odd:
        negative, middle, name, count = max(odd)
        what = f"{negative:,} of {count:,} negative" if negative else f"median {middle:.4g}"
        message = f"{len(odd)} of {len(modules)} modules; the worst is {printable(name, 120)} with {what}"
        yield Finding(rule=MAGNITUDE.id, message=message, severity=MAGNITUDE.severity, location=Location(item=printable(name, 160)))
