"""Weight-only statistics from the exact spectrum of each module's delta."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.detectors.detector import Detector, Vector, base
from scanner.delta import delta as deltas
from scanner.delta.delta import Delta, ModuleDelta
from scanner.delta.spectra import Spectrum, spectrum
from scanner.files.adapter import Adapter
from scanner.scan import open_base

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")


def opened(folder: Path) -> Delta | None:
    """The delta of the adapter in `folder`, or None where it has no low-rank factors."""
    delta = deltas.read(Adapter.open(folder))
    return delta if delta.modules else None


def _statistic(reduce: Callable[[list[tuple[ModuleDelta, Spectrum]]], float]) -> Callable[[Path, Path], Vector | None]:
    def measure(folder: Path, _: Path) -> Vector | None:
        delta = opened(folder)
        return None if delta is None else [reduce([(m, spectrum(m)) for m in delta.modules])]

    return measure


def _frobenius_spread(found: list[tuple[ModuleDelta, Spectrum]]) -> float:
    """Standard deviation over modules of ||BA||_F / sqrt(d_in d_out) (Lelle 2026, arXiv 2605.30189)."""
    return float(np.std([s.frobenius / np.sqrt(np.prod(m.shape)) for m, s in found]))


def _twenty(folder: Path, _: Path) -> Vector | None:
    """sigma_1, Frobenius norm, E1, entropy and kurtosis of q, k, v and o at one layer, two thirds of the way up (arXiv 2602.15195).

    Where an adapter leaves out a projection, its five numbers are 0; where it leaves out the layer, the nearest one stands in.
    """
    delta = opened(folder)
    if delta is None:
        return None
    layers = sorted({_layer(m) for m in delta.modules})
    wanted = int(open_base(base()).config["num_hidden_layers"]) * 2 // 3
    layer = min(layers, key=lambda i: abs(i - wanted))
    at = {m.module.rsplit(".", 1)[1]: m for m in delta.modules if _layer(m) == layer}
    out: Vector = []
    for name in PROJECTIONS:
        if name not in at:
            out += [0.0] * 5
            continue
        s = spectrum(at[name])
        out += [float(s.values[0]), s.frobenius, _energy(s), _entropy(s), _kurtosis(at[name])]
    return out


def _energy(found: Spectrum) -> float:
    """E1: sigma_1^2 / sum sigma^2; 0 for a delta of zeros."""
    total = float(np.square(found.values).sum())
    return float(found.values[0] ** 2) / total if total else 0.0


def _entropy(found: Spectrum) -> float:
    """Shannon entropy, in nats, of sigma / sum sigma; 0 for a delta of zeros."""
    p = found.values[found.values > 0]
    p = p / p.sum() if p.size else p
    return float(-(p * np.log(p)).sum())


def _layer(module: ModuleDelta) -> int:
    return next(int(part) for part in module.module.split(".") if part.isdecimal())


def _kurtosis(module: ModuleDelta) -> float:
    from scipy import stats

    return float(stats.kurtosis((module.b @ module.a).ravel()))


def logistic(vectors: Sequence[Vector], labels: Sequence[bool]) -> Callable[[Vector], float]:
    """Standardised, balanced logistic regression with C = 0.1, as arXiv 2602.15195 fits it."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=2000))
    model.fit(np.array(vectors), np.array(labels))

    def score(vector: Vector) -> float:
        value: Any = model.decision_function(np.array([vector]))[0]
        return round(float(value), 9)

    return score


def _shapes(folder: Path, _: Path) -> Vector | None:
    """What the recipe alone leaves in the files: rank, alpha, module and layer counts, which projections, DoRA and rsLoRA, the number of parameters."""
    adapter = Adapter.open(folder)
    names = list(adapter.weights.tensors)
    config = adapter.config
    has = [float(any(f".{p}." in n for n in names)) for p in (*PROJECTIONS, "gate_proj", "up_proj", "down_proj")]
    layers = {n.split(".layers.")[1].split(".")[0] for n in names if ".layers." in n}
    size = float(sum(t.count for t in adapter.weights.tensors.values()))
    return [float(config.r), float(config.lora_alpha), float(len(names)), float(len(layers)), *has, float(config.use_dora), float(config.use_rslora), size]


DETECTORS = (
    Detector("recipe only", "logistic regression on the recipe's traces (rank, alpha, modules, layers, size): must be 0.5 on matched pairs", _shapes, logistic),
    Detector("20 spectral features", "arXiv 2602.15195, re-implemented: logistic regression on five spectral statistics of q, k, v, o at one layer", _twenty, logistic),
    Detector("frobenius spread", "global_frobN_std of arXiv 2605.30189, re-implemented", _statistic(_frobenius_spread)),
    Detector("E1", "mean over modules of sigma_1^2 / sum sigma^2, as in arXiv 2607.01854", _statistic(lambda f: float(np.mean([_energy(s) for _, s in f])))),
    Detector("total norm", "Frobenius norm of the whole delta", _statistic(lambda f: float(np.sqrt(sum(s.frobenius**2 for _, s in f))))),
)  # fmt: skip
