"""Each module against the same module in other layers: robust, with the trend over depth taken out.

Residuals from a Theil-Sen line over depth, in units of 1.4826 times their median absolute deviation (Theil 1950; Sen 1968), never less than a
floor: in families that are alike to the last digit any rounding would stand out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
import numpy as np

from scanner.delta.measure import Matrix, ModuleStatistics

SMALLEST_FAMILY = 8
SMALLEST_KIND = 3
_MOST_POINTS = 256
_LAYER = re.compile(r"\.(\d{1,6})\.")
FLOORS = {
    "log norm": 0.05,
    "log top-1 energy": 0.05,
    "log kurtosis": 0.05,
    "output sparsity": 0.01,
    "input sparsity": 0.01,
    "log top-8 output share": 0.05,
    "log top-8 input share": 0.05,
}
"""Features that are compared, and the smallest spread each is measured in."""


class Deviation(msgspec.Struct, frozen=True, kw_only=True):
    """How far one module's feature lies from its family."""

    module: str
    feature: str
    z: float
    factor: float
    """exp of the distance for logarithms, the distance itself otherwise."""
    edge: bool
    """Whether the layer is among the first two or last two, where honest adapters differ too."""


def layer(module: str) -> int | None:
    """The first number in a module's name, its layer."""
    found = _LAYER.search(f".{module}.")
    return int(found[1]) if found else None


def kind(module: str) -> str:
    """A module's name with every number left open: what the same module in other layers is called too."""
    return ".".join("*" if part.isdecimal() else part for part in module.split("."))


def features(found: ModuleStatistics) -> tuple[float, ...]:
    """The values of FLOORS' features."""
    tiny = 1e-30
    return (
        float(np.log(found.frobenius + tiny)),
        float(np.log(found.top1_energy + tiny)),
        float(np.log(found.kurtosis + tiny)),
        found.outputs.hoyer,
        found.inputs.hoyer,
        float(np.log(found.outputs.top8 + tiny)),
        float(np.log(found.inputs.top8 + tiny)),
    )


def deviations(modules: Sequence[ModuleStatistics]) -> tuple[list[Deviation], int]:
    """Every module's deviation in every feature, and how many modules were in no family large enough to compare.

    A family is one kind of module over at least eight layers. Kinds with three to seven layers are centred by their own median and then
    compared together. Modules with a delta of zero have no shape and are only looked at for their norm.
    """
    kinds: dict[str, list[int]] = {}
    for i, found in enumerate(modules):
        kinds.setdefault(kind(found.module), []).append(i)
    families = [members for members in kinds.values() if len(members) >= SMALLEST_FAMILY]
    small = [members for members in kinds.values() if SMALLEST_KIND <= len(members) < SMALLEST_FAMILY]
    table = np.array([features(m) for m in modules]).reshape(len(modules), len(FLOORS))
    depths = np.array([layer(m.module) or 0 for m in modules], np.float64)
    edges = _edges(modules, depths)
    out: list[Deviation] = []
    compared = 0
    for members in families:
        out += _compare(modules, members, table[members], depths[members], edges)
        compared += len(members)
    pooled = [i for members in small for i in members]
    if len(pooled) >= SMALLEST_FAMILY:
        centred = np.concatenate([table[members] - np.median(table[members], axis=0) for members in small])
        out += _compare(modules, pooled, centred, np.zeros(len(pooled)), edges)
        compared += len(pooled)
    return out, len(modules) - compared


def _edges(modules: Sequence[ModuleStatistics], depths: Matrix) -> set[int]:
    present = sorted({float(d) for m, d in zip(modules, depths, strict=True) if layer(m.module) is not None})
    ends = set(present[:2]) | set(present[-2:])
    return {i for i, m in enumerate(modules) if layer(m.module) is not None and float(depths[i]) in ends}


def _compare(modules: Sequence[ModuleStatistics], members: list[int], values: Matrix, depths: Matrix, edges: set[int]) -> list[Deviation]:
    out = []
    alive = np.array([bool(modules[i].frobenius) for i in members])
    for column, (feature, floor) in enumerate(FLOORS.items()):
        used = np.full(len(members), True) if feature == "log norm" else alive
        if used.sum() < SMALLEST_FAMILY:
            continue
        rest = residuals(depths[used], values[used, column])
        spread = max(1.4826 * float(np.median(np.abs(rest))), floor)
        for i, distance in zip(np.flatnonzero(used), rest, strict=True):
            index = members[int(i)]
            far = float(distance)
            factor = float(np.exp(min(far, 80.0))) if feature.startswith("log") else far
            out.append(Deviation(module=modules[index].module, feature=feature, z=far / spread, factor=factor, edge=index in edges))
    return out


def slope(x: Matrix, y: Matrix) -> float:
    """Theil-Sen slope of `y` over `x`, from at most 256 points, evenly; 0 where all `x` are one."""
    chosen = np.linspace(0, len(x) - 1, min(len(x), _MOST_POINTS)).astype(int)
    i, j = np.triu_indices(len(chosen), 1)
    run = x[chosen][j] - x[chosen][i]
    rise = (y[chosen][j] - y[chosen][i])[run != 0]
    return float(np.median(rise / run[run != 0])) if len(rise) else 0.0


def residuals(x: Matrix, y: Matrix) -> Matrix:
    """`y` less its Theil-Sen line over `x`, centred on the median."""
    rest = y - slope(x, y) * x
    return np.asarray(rest - np.median(rest))
