"""Low-rank methods with a structure of their own: MiSS (and its variants), DeLoRA, GraLoRA.

Kang and Yin 2024, arXiv 2409.15371 (MiSS, once Bone); Bini et al. 2025, arXiv 2503.18225 (DeLoRA); Jung et al. 2025, arXiv 2505.20355 (GraLoRA).
"""

from __future__ import annotations

from functools import partial

import msgspec
import numpy as np

from scanner.delta.dense import Dense
from scanner.delta.lowrank import ModuleDelta
from scanner.delta.reading import Reading
from scanner.delta.stored import Array, Stored


class MissSettings(msgspec.Struct, frozen=True):
    """The fields that decide the delta."""

    init_weights: bool | str = True
    mini_r: int = 1


def miss(reading: Reading) -> None:
    """One block, repeated along the inputs: of rank r. The variant `bat` multiplies blocks of the base's weight instead."""
    groups = reading.groups("miss_block")
    settings = reading.settings(MissSettings)
    if settings is None:
        return
    for module, tensors in groups.items():
        block = tensors["miss_block"]
        shape = reading.shape(module, block)
        if shape is None:
            continue
        if settings.init_weights == "bat":
            size = block.shape[-1]
            if len(block.shape) != 3 or block.shape[1] != size or not size or shape[0] != block.shape[0] * size or shape[1] % size:
                reading.refuse(module, f"miss_block {list(block.shape)} does not divide {list(shape)}")
            else:
                reading.changes.append(Dense(module=module, shape=shape, parts=(block,), exact=False, addition=partial(_bat, block)))
            continue
        repeats, rest = divmod(shape[0], block.shape[1]) if len(block.shape) == 2 and block.count else (0, 1)
        if rest or (repeats != 1 and settings.init_weights != "mini"):
            reading.refuse(module, f"miss_block {list(block.shape)} does not fit {list(shape)}")
        else:
            reading.changes.append(ModuleDelta(module=module, a=_tiled(block.shape[0], shape[1]), b=_repeated(block, repeats), scale=1.0))


def _tiled(rank: int, inputs: int) -> Stored:
    return Stored((rank, inputs), lambda: (np.arange(inputs)[None] % rank == np.arange(rank)[:, None]).astype(np.float32))


def _repeated(block: Stored, times: int) -> Stored:
    return Stored((block.shape[1] * times, block.shape[0]), lambda: np.tile(block.read().T, (times, 1)))


def _bat(stored: Stored, weight: Array | None) -> Array:
    """(W_ij + I) B_i for every block (i, j) of W."""
    assert weight is not None
    block = stored.read()
    count, size, _ = block.shape
    cells = weight.reshape(count, size, -1, size).transpose(2, 0, 1, 3)
    return (cells @ block + block).transpose(1, 2, 0, 3).reshape(weight.shape)


class DeloraSettings(msgspec.Struct, frozen=True):
    """The fields that decide the delta."""

    r: int = 8


def delora(reading: Reading) -> None:
    """B diag(lambda / r / (|a_i| |b_i|)) A diag(norms of the base's columns, which are saved)."""
    names = ("delora_A", "delora_B", "delora_lambda", "delora_w_norm")
    groups = reading.groups(*names)
    settings = reading.settings(DeloraSettings)
    if settings is None:
        return
    for module, tensors in groups.items():
        if set(tensors) != set(names):
            reading.refuse(module, f"{next(n for n in names if n not in tensors)} is missing")
            continue
        a, b, strength, norms = (tensors[n] for n in names)
        if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1] or not a.count or strength.count != 1 or norms.shape != a.shape[1:]:
            reading.refuse(module, "not factors of one rank with a strength and the base's norms")
        else:
            reading.changes.append(ModuleDelta(module=module, a=_normed(a, b, strength, norms), b=b, scale=1 / a.shape[0]))


def _normed(a: Stored, b: Stored, strength: Stored, norms: Stored) -> Stored:
    def normed() -> Array:
        left = a.read()
        lengths = np.maximum(np.linalg.norm(left, axis=1), 1e-4) * np.maximum(np.linalg.norm(b.read(), axis=0), 1e-4)
        return np.asarray(strength.read().reshape(-1) * (left / lengths[:, None]) * norms.read(), np.float32)

    return Stored(a.shape, normed)


class GraloraSettings(msgspec.Struct, frozen=True):
    """The fields that decide the delta."""

    r: int = 32
    hybrid_r: int = 0
    alpha: float = 64
    gralora_k: int = 2


def gralora(reading: Reading) -> None:
    """K x k blocks, each low-rank on its own, with a plain LoRA besides where hybrid_r is set: of rank k r + hybrid_r."""
    general = ("gralora_A_general.weight", "gralora_B_general.weight")
    groups = reading.groups("gralora_A", "gralora_B", *general)
    settings = reading.settings(GraloraSettings)
    if settings is None:
        return
    k = settings.gralora_k
    for module, tensors in groups.items():
        a, b = tensors.get("gralora_A"), tensors.get("gralora_B")
        if a is None or b is None or len(a.shape) != 3 or len(b.shape) != 3 or k < 1 or {a.shape[0], b.shape[0]} != {k}:
            reading.refuse(module, "gralora_A and gralora_B are not k blocks each")
        elif a.shape[2] != b.shape[1] or a.shape[2] % k or settings.r + settings.hybrid_r < 1 or bool(settings.hybrid_r) != (set(general) <= set(tensors)):
            reading.refuse(module, "the blocks are not of one rank, or the general factors do not fit hybrid_r")
        else:
            inner, outer = (tensors.get(n) for n in general)
            scale = settings.alpha / (settings.r + settings.hybrid_r)
            reading.changes.append(ModuleDelta(module=module, a=_inner(a, inner), b=_outer(b, outer), scale=scale))


def _inner(a: Stored, general: Stored | None) -> Stored:
    """Row (n, o, p) reads the inputs of block n, for block o of the outputs, part p of its rank."""
    k, width, rank = a.shape
    extra = 0 if general is None else general.shape[0]

    def rows() -> Array:
        full = np.zeros((k, rank, k, width), np.float32)
        full[np.arange(k), :, np.arange(k), :] = a.read().transpose(0, 2, 1)
        spread = full.reshape(k * rank, k * width)
        return spread if general is None else np.vstack([spread, general.read()])

    return Stored((k * rank + extra, k * width), rows)


def _outer(b: Stored, general: Stored | None) -> Stored:
    """Column (n, o, p) writes to the outputs of block o."""
    k, rank, width = b.shape
    part = rank // k
    extra = 0 if general is None else general.shape[1]

    def columns() -> Array:
        values = b.read().reshape(k, k, part, width)  # (o, n, p, width)
        full = np.zeros((k, k, part, k, width), np.float32)  # (n, o, p, block of outputs, width)
        for o in range(k):
            full[:, o, :, o, :] = values[o]
        spread = full.reshape(k * rank, k * width).T
        return spread if general is None else np.hstack([spread, general.read()])

    return Stored((k * width, k * rank + extra), columns)
