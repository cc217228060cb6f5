"""Methods whose change is computed from the base's own weight: DEFT, PEANuT, OSF, FRoD, and TinyLoRA, which saves what it took out of it.

Zhong et al. 2024, arXiv 2410.01870 (PEANuT, once NEAT); Nayak et al. 2025, arXiv 2504.07097 (OSF); Morris et al. 2026, arXiv 2602.04118 (TinyLoRA).
DEFT and FRoD as PEFT 0.21 writes them down.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec
import numpy as np

from scanner.delta.dense import Dense
from scanner.delta.lowrank import ModuleDelta
from scanner.delta.reading import Reading
from scanner.delta.stored import Array, Stored
from scanner.files.text import printable

ROOT = "base_model."
LARGEST_RANK = 1024
MOST_BLOCKS = 64
MOST_GROUPS = 10_000


class DeftSettings(msgspec.Struct, frozen=True):
    """The fields that decide the delta."""

    decomposition_method: str = "relu"
    para: bool = False
    alpha: float = 0.0


def deft(reading: Reading) -> None:
    """Q (s R - right^T W): a subspace of the outputs is emptied and, unless `para`, filled anew; Q and right come from P."""
    groups = reading.groups("deft_P", "deft_R")
    settings = reading.settings(DeftSettings)
    if settings is None:
        return
    if settings.decomposition_method not in ("relu", "qr"):
        reading.refuse("decomposition_method", f"{printable(settings.decomposition_method, 40)} is not understood")
        return
    for module, tensors in groups.items():
        p, r = tensors.get("deft_P"), tensors.get("deft_R")
        if p is None or len(p.shape) != 2 or not 1 <= p.shape[1] <= min(p.shape[0], LARGEST_RANK) or (r is None) != settings.para:
            reading.refuse(module, "not deft_P of a few directions, with deft_R unless para is set")
            continue
        shape = reading.shape(module, *tensors.values())
        if shape is None or reading.base is None:
            continue
        if p.shape[0] != shape[0] or (r is not None and r.shape != (p.shape[1], shape[1])):
            reading.refuse(module, f"deft_P {list(p.shape)} and deft_R do not fit {list(shape)}")
            continue
        scale = settings.alpha / p.shape[1] if settings.alpha else 1.0
        weight, orthogonal = partial(reading.base.weight, module), settings.decomposition_method == "qr"
        filled = Stored((p.shape[1], shape[1]), partial(_filled, p, r, scale, weight, orthogonal))
        reading.changes.append(ModuleDelta(module=module, a=filled, b=Stored(p.shape, partial(_written, p, orthogonal)), scale=1.0))


def _written(p: Stored, orthogonal: bool) -> Array:
    return _directions(p, orthogonal)[0]


def _directions(p: Stored, orthogonal: bool) -> tuple[Array, Array]:
    """Q, which writes, and right, which reads: both (out_features, rank)."""
    given = p.read()
    if not orthogonal:
        return given, np.maximum(given, 0)
    q = np.linalg.qr(given.astype(np.float64))[0].astype(np.float32)
    return q, q


def _filled(p: Stored, r: Stored | None, scale: float, weight: Callable[[], Array], orthogonal: bool) -> Array:
    emptied = _directions(p, orthogonal)[1].T @ weight()
    return np.asarray(-emptied if r is None else scale * r.read() - emptied, np.float32)


class PeanutSettings(msgspec.Struct, frozen=True):
    """The fields that decide the delta."""

    depth: int = 0
    act_fn: str = "relu"
    scaling: float = 1.0


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "swish": lambda x: x / (1 + np.exp(-x)),
    "sigmoid": lambda x: np.asarray(1 / (1 + np.exp(-x)), np.float32),
    "tanh": np.tanh,
    "linear": lambda x: x,
}


def peanut(reading: Reading) -> None:
    """B f(A W), times a scale: of low rank, where f is a small network with residual connections over the rank."""
    settings = reading.settings(PeanutSettings)
    if settings is None or not 0 <= settings.depth <= MOST_BLOCKS or settings.act_fn not in ACTIVATIONS:
        reading.groups(*_PEANUT)
        if settings is not None:
            reading.refuse("depth and act_fn", f"{settings.depth} blocks of {printable(settings.act_fn, 40)} are not understood")
        return
    blocks = [f"peanut_{side}coders.{n}.weight" for side in ("en", "de") for n in range(settings.depth)]
    for module, tensors in reading.groups(*_PEANUT, *blocks).items():
        a, b = tensors.get(_PEANUT[0]), tensors.get(_PEANUT[1])
        if a is None or b is None or len(a.shape) != 2 or b.shape != a.shape[::-1] or not 1 <= a.shape[0] <= LARGEST_RANK:
            reading.refuse(module, "peanut_A and peanut_B are not factors of one rank")
        elif any(n not in tensors or tensors[n].shape != (a.shape[0],) * 2 for n in blocks):
            reading.refuse(module, f"not {settings.depth} blocks of {a.shape[0]} by {a.shape[0]} on each side")
        else:
            shape = reading.shape(module, *tensors.values())
            if shape is None or reading.base is None:
                continue
            if shape[0] != a.shape[1]:
                reading.refuse(module, f"peanut_A {list(a.shape)} does not fit {list(shape)}")
                continue
            inner = partial(_network, a, [tensors[n] for n in blocks], ACTIVATIONS[settings.act_fn], partial(reading.base.weight, module))
            reading.changes.append(ModuleDelta(module=module, a=Stored((a.shape[0], shape[1]), inner), b=b, scale=settings.scaling))


_PEANUT = ("peanut_A.weight", "peanut_B.weight")


def _network(a: Stored, blocks: list[Stored], function: Callable[[Array], Array], weight: Callable[[], Array]) -> Array:
    half = len(blocks) // 2
    values, kept = function(weight().T @ a.read().T), []
    for block in blocks[:half]:
        kept.append(values)
        values = function(values @ block.read().T)
    for block in blocks[half:]:
        values = function(values @ block.read().T) + kept.pop()
    return np.asarray(values.T, np.float32)


def osf(reading: Reading) -> None:
    """The weaker singular directions of W, trained: W' = P + U diag(S) V, with P the best approximation of W of the rank that is left."""
    names = ("osf_svd_params.U_low", "osf_svd_params.S_low", "osf_svd_params.V_low")
    for module, tensors in reading.groups(*names).items():
        u, s, v = (tensors.get(n) for n in names)
        if u is None or s is None or v is None or len(u.shape) != 2 or len(v.shape) != 2 or s.shape != u.shape[1:] or v.shape[0] != u.shape[1]:
            reading.refuse(module, "U_low, S_low and V_low do not multiply")
        elif u.shape[1] > min(u.shape[0], v.shape[1]):
            reading.refuse(module, f"{u.shape[1]} directions of {u.shape[0]} by {v.shape[1]}")
        else:
            parts = (u, s, v)
            reading.changes.append(Dense(module=module, shape=(u.shape[0], v.shape[1]), parts=parts, exact=False, addition=partial(_weaker, parts)))


def _weaker(parts: tuple[Stored, Stored, Stored], weight: Array | None) -> Array:
    assert weight is not None
    u, s, v = (p.read() for p in parts)
    left, values, right = np.linalg.svd(weight.astype(np.float64), full_matrices=False)
    kept = len(values) - len(s)
    return np.asarray((u * s) @ v - (left[:, kept:] * values[kept:]) @ right[kept:], np.float32)


class FrodSettings(msgspec.Struct, frozen=True):
    """The fields that decide the delta."""

    save_projection: bool = True


def frod(reading: Reading) -> None:
    """W' = U (S + diag(l)) V^T with V shared by all modules of a kind, S sparse, and U such that the base's weight is U diag(l_0) V^T."""
    groups = reading.groups("frod_lambda_l", "frod_lambda_s_values")
    settings = reading.settings(FrodSettings)
    if settings is None:
        return
    if not settings.save_projection:
        reading.refuse("frod_V", "it is not saved, or not loaded from the file: PEFT computes it from all weights of the base")
        return
    shared = {n: reading.shared(n) for n in list(reading.free) if n.startswith(f"{ROOT}frod_V.")}
    places = {n: reading.adapter.weights.integers(n) for n in list(reading.free) if n.startswith(f"{ROOT}frod_s_indices.") and reading.free[n].dtype in _WHOLE}
    for name in list(reading.free):
        if name.startswith((f"{ROOT}frod_s_indices.", f"{ROOT}frod_s_size.")):
            del reading.free[name]
    for module, tensors in groups.items():
        strengths, values, kind = tensors.get("frod_lambda_l"), tensors.get("frod_lambda_s_values"), _kind(module)
        v, indices = shared.get(f"{ROOT}frod_V.{kind}"), places.get(f"{ROOT}frod_s_indices.{kind}")
        shape = reading.shape(module, *tensors.values())
        if shape is None:
            continue
        width = shape[1]
        if strengths is None or values is None or v is None or indices is None or strengths.shape != (width,) or v.shape != (width, width):
            reading.refuse(module, f"lambda_l, lambda_s or the shared matrix of {printable(kind, 80)} are missing or do not fit {list(shape)}")
        elif indices.shape != (2, values.count) or (indices.size and (indices.min() < 0 or indices.max() >= width)):
            reading.refuse(module, f"the sparse entries point out of {width} by {width}")
        else:
            parts = (strengths, values)
            reading.changes.append(Dense(module=module, shape=shape, parts=parts, exact=False, addition=partial(_joint, v, indices, parts)))


_WHOLE = ("I64", "I32")


def _kind(module: str) -> str:
    """What PEFT calls the modules that share a matrix."""
    parts = module.split(".")
    name = "_".join(parts[-2:])
    return "attention_output_dense" if name == "output_dense" and parts[-3:-2] == ["attention"] else name


def _joint(shared: Stored, indices: np.ndarray, parts: tuple[Stored, Stored], weight: Array | None) -> Array:
    assert weight is not None
    v, (strengths, values) = shared.read().astype(np.float64), (p.read() for p in parts)
    basis = np.linalg.solve(v, weight.T.astype(np.float64)).T
    lengths = np.linalg.norm(basis, axis=0)
    basis = np.divide(basis, lengths, out=np.zeros_like(basis), where=lengths > 1e-12)
    core = np.diag(strengths.astype(np.float64))
    np.add.at(core, tuple(indices), values.reshape(-1))
    return np.asarray(basis @ core @ v.T - weight, np.float32)


class TinySettings(msgspec.Struct, frozen=True):
    """The fields that decide the delta."""

    projection_seed: int = 42
    weight_tying: float = 0.0
    save_projection: bool = True


def tinylora(reading: Reading) -> None:
    """B (sum_i v_i P_i) A: A and B are saved, v belongs to a group of modules, and P, drawn from seed and number, tells the module's number."""
    groups = reading.groups("tinylora_A", "tinylora_B", "tinylora_P")
    vectors = {n.removeprefix(f"{ROOT}tinylora_v."): reading.shared(n) for n in list(reading.free) if n.startswith(f"{ROOT}tinylora_v.")}
    settings = reading.settings(TinySettings)
    if settings is None:
        return
    if not settings.save_projection:
        reading.refuse("tinylora_P", "it is not saved, or not loaded from the file: PEFT draws it from a seed")
        return
    count = len(groups)
    sharing = max(1, count // max(1, round(count * (1.0 - min(max(settings.weight_tying, 0.0), 1.0)))))
    drawn = np.array([first_normals(settings.projection_seed + n) for n in range(count)]) if len(vectors) > 1 and count <= MOST_GROUPS else None
    for module, tensors in groups.items():
        a, b, p = (tensors.get(f"tinylora_{n}") for n in "ABP")
        if a is None or b is None or p is None or len(a.shape) != 2 or len(b.shape) != 2 or b.shape[1] != a.shape[0] or p.shape[1:] != (a.shape[0],) * 2:
            reading.refuse(module, "not two factors with square projections between them")
            continue
        number = 0 if len(vectors) == 1 else _number(p, drawn)
        vector = vectors.get(str(min((number or 0) // sharing, len(vectors) - 1)))
        if number is None or vector is None or vector.shape != p.shape[:1]:
            reading.refuse(module, "which of the trained vectors is the module's cannot be told")
        else:
            reading.changes.append(ModuleDelta(module=module, a=a, b=Stored(b.shape, partial(_weighed, b, p, vector)), scale=1.0))


def _weighed(b: Stored, p: Stored, vector: Stored) -> Array:
    return np.asarray(b.read() @ np.einsum("i,ijk->jk", vector.read(), p.read()), np.float32)


def _number(p: Stored, drawn: np.ndarray | None) -> int | None:
    """Which row of `drawn`, the first eight values of each number's projection, `p` begins with; None where it is none of them.

    Of numbers that are not a multiple of 16, PyTorch draws the last 16 again.
    """
    first = 8 if p.count % 16 == 0 else min(8, p.count - 16)
    if first < 4 or drawn is None:
        return None
    wanted, spread = p.read().reshape(-1)[:first], 1 / np.sqrt(p.shape[1])
    same = np.flatnonzero(np.isclose(drawn[:, :first] * spread, wanted, atol=1e-4 * spread).all(1))
    return int(same[0]) if len(same) else None


def first_normals(seed: int) -> np.ndarray:
    """The first eight of 16 or more numbers of PyTorch's `torch.normal` on a CPU: Box and Muller's transform of MT19937's draws of 24 bits."""
    draws = np.random.RandomState(seed % 2**32).randint(0, 2**32, size=16, dtype=np.uint32) & 0xFFFFFF
    uniform = draws / 2.0**24
    return np.asarray(np.sqrt(-2 * np.log(1 - uniform[:8])) * np.cos(2 * np.pi * uniform[8:]))
