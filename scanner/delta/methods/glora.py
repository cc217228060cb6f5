"""GLoRA: W' = W + W o A + B and b' = b + b o D + E + W C, each of A to E low-rank, a vector, one number or nothing.

Chavan et al. 2023, arXiv 2306.07967.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from scanner.delta.dense import Dense
from scanner.delta.reading import Reading
from scanner.delta.scaled import Shifted
from scanner.delta.stored import Array, Stored
from scanner.model.base import Base

PATHS = tuple(f"glora_{n}.{form}" for n in "ABCDE" for form in ("Xd", "Xu", "X", "zeros"))
Path = tuple[Stored, ...]
"""A product of two matrices, or one tensor that is spread over the shape."""


def read(reading: Reading) -> None:
    """Put the five paths of each module together."""
    for module, tensors in reading.groups(*PATHS).items():
        paths = {n: _path(tensors, f"glora_{n}") for n in "ABCDE"}
        if any(p is None for p in paths.values()):
            reading.refuse(module, "its five paths are not each low-rank, a vector, a number or zeros")
            continue
        found = {n: p for n, p in paths.items() if p is not None}
        shape = reading.shape(module, *tensors.values())
        if shape is None or reading.base is None:
            continue
        biased = reading.base.shape(module, "bias") is not None
        sizes = {"A": shape, "B": shape, "C": (shape[1], 1), "D": shape[:1], "E": shape[:1]}
        if not all(_spreads(found[n], sizes[n]) for n in ("ABCDE" if biased else "AB")):
            reading.refuse(module, f"its paths do not fit {list(shape)}")
            continue
        a, b = found["A"], found["B"]
        reading.changes.append(Dense(module=module, shape=shape, parts=(*a, *b), exact=False, addition=partial(_weight, a, b)))
        if biased:
            shift = Stored((shape[0],), partial(_bias, reading.base, module, found))
            reading.changes.append(Shifted(module=module, shift=shift))


def _path(tensors: dict[str, Stored], name: str) -> Path | None:
    product = tensors.get(f"{name}.Xd"), tensors.get(f"{name}.Xu")
    single = [t for t in (tensors.get(f"{name}.X"), tensors.get(f"{name}.zeros")) if t is not None]
    if product[0] is not None and product[1] is not None and not single:
        fits = len(product[0].shape) == len(product[1].shape) == 2 and product[0].shape[1] == product[1].shape[0]
        return (product[0], product[1]) if fits else None
    return (single[0],) if len(single) == 1 and product == (None, None) else None


def _spreads(path: Path, shape: tuple[int, ...]) -> bool:
    """Whether the path's value can be one of this shape."""
    made = (path[0].shape[0], path[1].shape[1]) if len(path) == 2 else path[0].shape
    return made == shape or made == (1,) or (len(shape) == 2 and made == (shape[0], 1))


def _value(path: Path) -> Array:
    return path[0].read() @ path[1].read() if len(path) == 2 else path[0].read()


def _weight(a: Path, b: Path, weight: Array | None) -> Array:
    assert weight is not None
    return np.asarray(weight * _value(a) + _value(b), np.float32)


def _bias(base: Base, module: str, paths: dict[str, Path]) -> Array:
    weight, bias = base.weight(module), base.weight(module, "bias")
    read = np.broadcast_to(_value(paths["C"]), (weight.shape[1], 1))
    return np.asarray(bias * _value(paths["D"]) + _value(paths["E"]) + (weight @ read).reshape(-1), np.float32)
