"""Modules far from their family: one finding, worst first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from scanner.delta.family import Deviation
from scanner.delta.measure import ModuleStatistics
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.rule import ATLAS_POISON_MODEL, Basis, Rule, Severity

FAR, FAR_AT_EDGE = 10.0, 15.0
EXTREME, EXTREME_AT_EDGE = 20.0, 30.0
LARGE_FACTOR, LARGE_SPARSITY = 3.0, 0.25
SHOWN = 20

OUTLIER = Rule(
    id="delta-outlier",
    title="One module's delta stands far outside its family",
    severity=Severity.LOW,
    basis=Basis.STATISTIC,
    meaning="A module's norm or shape is far from that of the same module in other layers, with the trend over depth taken out.",
    why="A payload edited into one place looks like this, and so does an alpha raised for one layer; raised to medium when the module is at least "
    "three times as strong or as concentrated as its family. Honest adapters differ in their first and last layers, which are given more room.",
    fix="Read the behavioural part of the report; this alone decides nothing.",
    references=(ATLAS_POISON_MODEL,),
)


def outliers(deviations: Sequence[Deviation], modules: Sequence[ModuleStatistics]) -> Iterator[Finding]:
    """The finding over all deviations of `modules` that are far, if any are."""
    sides = {m.module: m for m in modules}
    far = sorted((d for d in deviations if abs(d.z) >= (FAR_AT_EDGE if d.edge else FAR)), key=lambda d: (-_extreme(d), -abs(d.z), d.module, d.feature))
    if far:
        worst = far[0]
        count = len({d.module for d in far})
        yield Finding(
            rule=OUTLIER.id,
            message=f"{_words(worst, sides)} within its family" + (f"; {count} modules in all" if count > 1 else ""),
            severity=Severity.MEDIUM if _extreme(worst) else Severity.LOW,
            location=Location(item=printable(worst.module, 120)),
            details=tuple(_words(d, sides) for d in far[:SHOWN]),
        )


def _extreme(deviation: Deviation) -> bool:
    """Whether a module is stronger or more concentrated than its family by more than honest training does."""
    large = LARGE_FACTOR if deviation.feature.startswith("log") else LARGE_SPARSITY
    return deviation.z >= (EXTREME_AT_EDGE if deviation.edge else EXTREME) and deviation.factor >= large


def _words(deviation: Deviation, sides: Mapping[str, ModuleStatistics]) -> str:
    name = deviation.feature.removeprefix("log ")
    factor = f"×{deviation.factor:.3g}" if deviation.feature.startswith("log") else f"{deviation.factor:+.2f}"
    found = sides[deviation.module]
    strongest = found.outputs.strongest if "output" in name else found.inputs.strongest if "input" in name else ()
    where = f" (strongest: {', '.join(map(str, strongest))})" if strongest and deviation.z > 0 else ""
    return f"{printable(deviation.module, 120)}: {name} {factor}, z = {deviation.z:+.1f}{where}"
