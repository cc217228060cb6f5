"""A whole adapter's delta in a few dozen numbers, the same ones for every adapter with the same kinds of modules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scanner.delta.coherence import coherences
from scanner.delta.family import FLOORS, deviations, features, kind, layer, slope
from scanner.delta.measure import ModuleStatistics


def summary(modules: Sequence[ModuleStatistics]) -> dict[str, float]:
    """For each kind of module the median of every feature, the trend and spread of its norm and what its layers share; and the worst deviations.

    Keys are `KIND: WHAT`, in a fixed order. All values are finite for finite modules.
    """
    kinds: dict[str, list[ModuleStatistics]] = {}
    for found in modules:
        kinds.setdefault(kind(found.module), []).append(found)
    out: dict[str, float] = {}
    for name, members in sorted(kinds.items()):
        table = np.array([features(m) for m in members])
        depth = np.array([layer(m.module) or 0 for m in members], np.float64)
        for column, feature in enumerate(FLOORS):
            out[f"{name}: {feature}, median"] = float(np.median(table[:, column]))
            out[f"{name}: {feature}, largest"] = float(table[:, column].max())
        out[f"{name}: log norm, per layer"] = slope(depth, table[:, 0])
        out[f"{name}: log effective rank, median"] = float(np.log(max(np.median([m.effective_rank for m in members]), 1.0)))
    for shared in coherences(modules):
        out[f"{shared.kind}: energy in one shared direction, {shared.side}"] = shared.shared
        out[f"{shared.kind}: mean cosine between layers, {shared.side}"] = shared.mean
    all_deviations, _ = deviations(modules)
    for feature in FLOORS:
        far = [d.z for d in all_deviations if d.feature == feature]
        out[f"all: {feature}, largest deviation in a family"] = float(np.log1p(max(far))) if far and max(far) > 0 else 0.0
    return out
