"""Methods whose factors come from matrices all modules share: VeRA, PVeRA, VB-LoRA, RandLoRA, Uni-LoRA.

Kopiczko et al. 2023, arXiv 2310.11454 (VeRA); Li et al. 2024, arXiv 2405.15179 (VB-LoRA); Albert et al. 2025, arXiv 2502.00987 (RandLoRA);
Li et al. 2025, arXiv 2506.00799 (Uni-LoRA). PVeRA as PEFT 0.21 writes it down.
Where the shared matrices are not saved, PEFT draws them from a seed with PyTorch's generator, and the file alone says nothing.
"""

from __future__ import annotations

from functools import partial

import msgspec
import numpy as np

from scanner.delta.dense import Dense
from scanner.delta.lowrank import ModuleDelta
from scanner.delta.reading import Reading
from scanner.delta.stored import Array, Stored

ROOT = "base_model."


class VeraSettings(msgspec.Struct, frozen=True):
    """The fields that decide the delta."""

    save_projection: bool = True


def vera(reading: Reading) -> None:
    """diag(lambda_b) B diag(lambda_d) A, with A and B cut to the module's size."""
    _vera(reading, "vera")


class PveraSettings(msgspec.Struct, frozen=True):
    """The field that decides whether there is one delta."""

    sample_at_inference: bool = False


def pvera(reading: Reading) -> None:
    """VeRA whose inner values are drawn while it trains; at inference their means are used, the first halves of A and lambda_d."""
    settings = reading.settings(PveraSettings)
    if settings is not None and settings.sample_at_inference:
        reading.refuse("sample_at_inference", "the delta is drawn at random at each run", whole=True)
    _vera(reading, "pvera")


def _vera(reading: Reading, name: str) -> None:
    a, b = reading.shared(f"{ROOT}{name}_A"), reading.shared(f"{ROOT}{name}_B")
    groups = reading.groups(f"{name}_lambda_b", f"{name}_lambda_d")
    settings = reading.settings(VeraSettings)
    if settings is None:
        return
    if a is None or b is None or not settings.save_projection:
        reading.refuse(f"{name}_A and {name}_B", "they are not saved, or not loaded from the file: PEFT draws them from a seed")
        return
    for module, tensors in groups.items():
        rows, ranks = tensors.get(f"{name}_lambda_b"), tensors.get(f"{name}_lambda_d")
        shape = reading.shape(module, *tensors.values())
        if shape is None:
            continue
        twice = 2 if name == "pvera" else 1
        if rows is None or ranks is None or len(a.shape) != 2 or len(b.shape) != 2 or ranks.shape != a.shape[:1] or b.shape[1] * twice != a.shape[0]:
            reading.refuse(module, "lambda_b, lambda_d and the shared matrices do not multiply")
        elif rows.shape != shape[:1] or b.shape[0] < shape[0] or a.shape[1] < shape[1]:
            reading.refuse(module, f"lambda_b {list(rows.shape)} or the shared matrices do not fit {list(shape)}")
        else:
            reading.changes.append(ModuleDelta(module=module, a=_cut(a, ranks, b.shape[1], shape[1]), b=_rows(b, rows), scale=1.0))


def _cut(a: Stored, ranks: Stored, first: int, inputs: int) -> Stored:
    return Stored((first, inputs), lambda: a.read()[:first, :inputs] * ranks.read()[:first, None])


def _rows(b: Stored, rows: Stored) -> Stored:
    return Stored((rows.count, b.shape[1]), lambda: b.read()[: rows.count] * rows.read()[:, None])


class BankSettings(msgspec.Struct, frozen=True):
    """The fields that decide the delta."""

    topk: int = 2
    save_only_topk_weights: bool = False


def vblora(reading: Reading) -> None:
    """Each piece of A and B is a softmax mixture of the `topk` vectors of a shared bank that its logits prefer."""
    bank = reading.shared(f"{ROOT}vblora_vector_bank")
    groups = reading.groups("vblora_logits_A", "vblora_logits_B", *(f"vblora_logits_{s}_topk_{k}" for s in "AB" for k in ("indices", "weights")))
    settings = reading.settings(BankSettings)
    if settings is None:
        return
    for module, tensors in groups.items():
        a, b = tensors.get("vblora_logits_A"), tensors.get("vblora_logits_B")
        if bank is None or len(bank.shape) != 2 or a is None or b is None:
            reading.refuse(module, "no logits over a shared bank (saved as top-k only, they are not understood)")
        elif (
            len(a.shape) != 3
            or len(b.shape) != 3
            or a.shape[0] != b.shape[1]
            or {a.shape[2], b.shape[2]} != {bank.shape[0]}
            or not 1 <= settings.topk <= a.shape[2]
        ):
            reading.refuse(module, f"logits {list(a.shape)} and {list(b.shape)} do not fit a bank of {bank.shape[0]}")
        else:
            reading.changes.append(ModuleDelta(module=module, a=_mixed(a, bank, settings.topk, False), b=_mixed(b, bank, settings.topk, True), scale=1.0))


def _mixed(logits: Stored, bank: Stored, top: int, columns: bool) -> Stored:
    """(rank, pieces, bank) logits to (rank, pieces length); of (pieces, rank, bank) logits, `columns`, to (pieces length, rank)."""
    length = bank.shape[1]
    first, second, _ = logits.shape

    def mixed() -> Array:
        values = logits.read().astype(np.float64)
        chosen = np.argpartition(-values, top - 1, axis=-1)[..., :top]
        kept = np.take_along_axis(values, chosen, -1)
        weights = np.exp(kept - kept.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        pieces = np.einsum("...k,...kl->...l", weights, bank.read()[chosen])
        pieces = pieces.transpose(0, 2, 1).reshape(-1, second) if columns else pieces.reshape(first, -1)
        return np.asarray(pieces, np.float32)

    return Stored((first * length, second) if columns else (first, second * length), mixed)


class RandSettings(msgspec.Struct, frozen=True):
    """The fields that decide the delta."""

    r: int = 32
    randlora_alpha: float = 640
    save_projection: bool = True


def randlora(reading: Reading) -> None:
    """A sum over n bases of B_j diag(lambda_j) A diag(gamma_j), of full rank by design, with A on the module's shorter side."""
    a, b = reading.shared(f"{ROOT}randlora_A"), reading.shared(f"{ROOT}randlora_B")
    copies = ("randlora_A", "randlora_B")  # PEFT saves the shared matrices with every module too
    groups = reading.groups("randlora_lambda", "randlora_gamma", *copies)
    settings = reading.settings(RandSettings)
    if settings is None:
        return
    if a is None or b is None or not settings.save_projection:
        reading.refuse("randlora_A and randlora_B", "they are not saved, or not loaded from the file: PEFT draws them from a seed")
        return
    for module, tensors in groups.items():
        ranks, gains = tensors.get("randlora_lambda"), tensors.get("randlora_gamma")
        if not all(_same(tensors[n], whole) for n, whole in zip(copies, (a, b), strict=True) if n in tensors):
            reading.refuse(module, "its copy of the shared matrices is another, and PEFT loads whichever comes last", whole=True)
            continue
        shape = reading.shape(module, *(t for t in (ranks, gains) if t is not None))
        if shape is None:
            continue
        short, long = sorted(shape)
        if ranks is None or gains is None or len(ranks.shape) != 2 or gains.shape != (ranks.shape[1], short) or settings.r < 1:
            reading.refuse(module, "lambda and gamma are not factors of one size")
        elif len(a.shape) != 3 or len(b.shape) != 3 or a.shape[:2] != (ranks.shape[0], 1) or a.shape[2] < short:
            reading.refuse(module, f"the shared matrix A {list(a.shape)} does not fit")
        elif b.shape[0] < long or b.shape[1] < ranks.shape[1] or b.shape[2] != ranks.shape[0]:
            reading.refuse(module, f"the shared matrix B {list(b.shape)} does not fit")
        else:
            parts, scale = (ranks, gains), settings.randlora_alpha / settings.r
            reading.changes.append(Dense(module=module, shape=shape, parts=parts, addition=partial(_sum, a, b, parts, shape, scale)))


def _same(one: Stored, other: Stored) -> bool:
    return one.shape == other.shape and np.array_equal(one.read(), other.read())


def _sum(a: Stored, b: Stored, parts: tuple[Stored, Stored], shape: tuple[int, int], scale: float, _: Array | None) -> Array:
    ranks, gains = (p.read() for p in parts)
    short, long = sorted(shape)
    bases = gains.shape[0]
    left = b.read()[:long, :bases].reshape(long, -1)  # base by base, while `right` goes rank by rank: PEFT pairs them so
    right = (ranks[:, :, None] * a.read()[:, :, :short] * gains[None]).reshape(-1, short)
    product = scale * (left @ right)
    return np.asarray(product if shape[1] == short else product.T, np.float32)


class UniSettings(msgspec.Struct, frozen=True):
    """The fields that decide the delta."""

    save_indices: bool = False


def unilora(reading: Reading) -> None:
    """Every entry of A and B is one of a few trained numbers, times a scale; where each stands is saved, or drawn from a seed over the whole model."""
    numbers = reading.shared(f"{ROOT}unilora_theta_d")
    scales = reading.groups("unilora_scales_A", "unilora_scales_B")
    indices = {m: {s: reading.free.pop(f"base_model.model.{m}.unilora_indices_{s}", None) for s in "AB"} for m in scales}
    settings = reading.settings(UniSettings)
    if settings is None:
        return
    if not settings.save_indices:
        reading.refuse("unilora_indices", "they are not saved: PEFT draws them from a seed in the order of the model's modules, which the files do not tell")
        return
    for module, tensors in scales.items():
        sides = []
        for side in "AB":
            scale, tensor = tensors.get(f"unilora_scales_{side}"), indices[module][side]
            if scale is None or tensor is None or numbers is None or tensor.shape != scale.shape or len(scale.shape) != 2 or tensor.dtype not in ("I64", "I32"):
                break
            places = reading.adapter.weights.integers(tensor.name)
            if places.size and (places.min() < 0 or places.max() >= numbers.count):
                break
            sides.append(Stored(scale.shape, partial(_picked, numbers, places, scale)))
        if len(sides) != 2 or sides[0].shape[0] != sides[1].shape[1]:
            reading.refuse(module, "not factors whose entries are picked from the shared numbers")
        else:
            reading.changes.append(ModuleDelta(module=module, a=sides[0], b=sides[1], scale=1.0))


def _picked(numbers: Stored, places: np.ndarray, scale: Stored) -> Array:
    return np.asarray(numbers.read().reshape(-1)[places] * scale.read(), np.float32)
