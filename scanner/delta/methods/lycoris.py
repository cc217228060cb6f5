"""LoHa and LoKr: Hadamard and Kronecker products of small matrices. Yeh et al. 2023, arXiv 2309.14859, sections 3.2 and 3.3."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from scanner.delta.dense import Dense
from scanner.delta.kronecker import Kronecker
from scanner.delta.lowrank import ModuleDelta
from scanner.delta.methods.scaling import Scales
from scanner.delta.reading import Reading
from scanner.delta.stored import Array, Stored
from scanner.files.config import AdapterConfig

HADAMARD = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
KRONECKER = ("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b")
TUCKER = ("hada_t1", "hada_t2", "lokr_t2")


class Settings(msgspec.Struct, frozen=True):
    """The fields that decide the scale."""

    r: int = 8
    alpha: float = 8
    rank_pattern: dict[str, int] = {}
    alpha_pattern: dict[str, float] = {}


def loha(reading: Reading) -> None:
    """(w1_a w1_b) o (w2_a w2_b): of rank r^2, kept as factors of that rank where they are smaller than the product."""
    groups = reading.groups(*HADAMARD, *TUCKER[:2])
    scales = _scales(reading, len(groups))
    if scales is None:
        return
    for module, tensors in groups.items():
        scale = scales.of(module)
        if scale is None:
            continue
        if set(tensors) != set(HADAMARD) or any(len(t.shape) != 2 for t in tensors.values()):
            reading.refuse(module, "not the four matrices of a Hadamard product (convolutions are not understood)")
            continue
        w1a, w1b, w2a, w2b = (tensors[n] for n in HADAMARD)
        if (w1a.shape[1], w2a.shape[1]) != (w1b.shape[0], w2b.shape[0]) or (w1a.shape[0], w1b.shape[1]) != (w2a.shape[0], w2b.shape[1]):
            reading.refuse(module, f"{', '.join(str(list(tensors[n].shape)) for n in HADAMARD)} do not make a Hadamard product")
            continue
        out, rank, inputs = w1a.shape[0], w1a.shape[1] * w2a.shape[1], w1b.shape[1]
        if rank * (out + inputs) < out * inputs:
            reading.changes.append(ModuleDelta(module=module, a=_pairs(w1b.transposed, w2b.transposed).transposed, b=_pairs(w1a, w2a), scale=scale))
        else:
            addition = _hadamard(w1a, w1b, w2a, w2b, scale)
            reading.changes.append(Dense(module=module, shape=(out, inputs), parts=(w1a, w1b, w2a, w2b), addition=addition, scale=scale))


def _pairs(first: Stored, second: Stored) -> Stored:
    """Row by row, every column of `first` times every column of `second`: the row-wise Khatri-Rao product."""
    rows, columns = first.shape[0], first.shape[1] * second.shape[1]

    def product() -> Array:
        return (first.read()[:, :, None] * second.read()[:, None, :]).reshape(rows, columns)

    return Stored((rows, columns), product)


def _hadamard(w1a: Stored, w1b: Stored, w2a: Stored, w2b: Stored, scale: float) -> Callable[[Array | None], Array]:
    def product(_: Array | None) -> Array:
        return np.asarray(scale * (w1a.read() @ w1b.read()) * (w2a.read() @ w2b.read()), np.float32)

    return product


def lokr(reading: Reading) -> None:
    """w1 (x) w2, each whole or as two factors."""
    groups = reading.groups(*KRONECKER, TUCKER[2])
    scales = _scales(reading, len(groups))
    if scales is None:
        return
    for module, tensors in groups.items():
        scale = scales.of(module)
        if scale is None:
            continue
        left, right = _side(tensors, "lokr_w1"), _side(tensors, "lokr_w2")
        if left is None or right is None or TUCKER[2] in tensors:
            reading.refuse(module, "not two matrices of a Kronecker product (convolutions are not understood)")
        else:
            reading.changes.append(Kronecker(module=module, left=left, right=right, scale=scale))


def _side(tensors: dict[str, Stored], name: str) -> Stored | None:
    """One side of the product, whole or from its factors; None where it is not one matrix."""
    whole, first, second = tensors.get(name), tensors.get(f"{name}_a"), tensors.get(f"{name}_b")
    if whole is not None:
        return whole if first is None and second is None and len(whole.shape) == 2 else None
    if first is None or second is None or len(first.shape) != 2 or len(second.shape) != 2 or first.shape[1] != second.shape[0]:
        return None
    return Stored((first.shape[0], second.shape[1]), lambda: first.read() @ second.read())


def _scales(reading: Reading, modules: int) -> Scales | None:
    settings = reading.settings(Settings)
    if settings is None:
        return None
    config = AdapterConfig(r=settings.r, lora_alpha=settings.alpha, rank_pattern=settings.rank_pattern, alpha_pattern=settings.alpha_pattern)
    scales = Scales(reading, config, modules)
    return None if scales.refused else scales
