"""Methods that turn a module's inputs or outputs: OFT, BOFT, HRA, RoAD.

Qiu et al. 2023, arXiv 2306.07280 (OFT); Liu et al. 2023, arXiv 2311.06243 (BOFT); Yuan et al. 2024, arXiv 2405.17484 (HRA);
Liao and Monz 2024, arXiv 2409.00119 (RoAD).
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import msgspec
import numpy as np

from scanner.delta.reading import Reading
from scanner.delta.rotated import Rotated, Turn
from scanner.delta.stored import Array, Stored

LARGEST_BLOCK = 1024
LARGEST_RANK = 1024
MOST_TERMS = 64


class OftSettings(msgspec.Struct, frozen=True):
    """The fields that decide the turn."""

    coft: bool = False
    eps: float = 6e-5
    block_share: bool = False
    use_cayley_neumann: bool = True
    num_cayley_neumann_terms: int = 5


def oft(reading: Reading) -> None:
    """Blocks on the diagonal, each the Cayley transform of a skew-symmetric matrix or the Neumann series of it."""
    groups = reading.groups("oft_R.weight")
    settings = reading.settings(OftSettings)
    if settings is None:
        return
    if not 0 <= settings.num_cayley_neumann_terms <= MOST_TERMS:
        reading.refuse("num_cayley_neumann_terms", f"{settings.num_cayley_neumann_terms} terms, more than {MOST_TERMS}")
        return
    for module, tensors in groups.items():
        angles = tensors["oft_R.weight"]
        size = (1 + math.isqrt(1 + 8 * angles.shape[1])) // 2 if len(angles.shape) == 2 else 0
        if not size or size * (size - 1) // 2 != angles.shape[1] or size > LARGEST_BLOCK or (settings.block_share and angles.shape[0] != 1):
            reading.refuse(module, f"oft_R {list(angles.shape)} is not the upper triangles of blocks up to {LARGEST_BLOCK:,} wide")
            continue
        blocks = angles.shape[0]
        if settings.block_share:
            shape = reading.shape(module, angles)
            if shape is None:
                continue
            blocks = shape[1] // size
        reading.changes.append(Rotated(module=module, width=blocks * size, parts=(angles,), turn=partial(_oft, angles, blocks, size, settings)))


def _oft(angles: Stored, count: int, size: int, settings: OftSettings) -> Turn:
    skew = np.zeros((angles.shape[0], size, size), np.float32)
    rows, columns = np.triu_indices(size, 1)
    skew[:, rows, columns] = angles.read()
    skew -= skew.swapaxes(1, 2)
    if settings.coft:
        limit = settings.eps / math.sqrt(len(skew))
        length = np.linalg.norm(skew, axis=(1, 2), keepdims=True)
        skew = np.where(length <= limit, skew, limit * skew / np.maximum(length, np.finfo(np.float32).tiny))
    blocks = _neumann(skew, settings.num_cayley_neumann_terms) if settings.use_cayley_neumann else _cayley(skew)
    return Turn(blocks=np.broadcast_to(blocks, (count, size, size)))


def _neumann(skew: Array, terms: int) -> Array:
    """I + 2 Q + 2 Q^2 + ... + Q^n, PEFT's cut of the series of (I + Q)(I - Q)^-1, with n = max(terms - 1, 3) from three terms on."""
    highest = max(terms - 1, 3) if terms > 2 else terms - 1
    total = np.broadcast_to(np.eye(skew.shape[1], dtype=np.float32), skew.shape).copy()
    power = skew
    for n in range(1, highest + 1):
        total += power if n == highest and terms > 2 else 2 * power
        power = power @ skew
    return total


def _cayley(skew: Array) -> Array:
    """(I - Q)(I + Q)^-1."""
    eye = np.eye(skew.shape[1])
    return np.asarray(np.linalg.solve((eye + skew).swapaxes(1, 2), (eye - skew).swapaxes(1, 2)).swapaxes(1, 2), np.float32)


def boft(reading: Reading) -> None:
    """A product of block-diagonal turns, each of entries in another order (the butterfly), and a factor for every output."""
    for module, tensors in reading.groups("boft_R", "boft_s").items():
        data, gain = tensors.get("boft_R"), tensors.get("boft_s")
        if (
            data is None
            or gain is None
            or len(data.shape) != 4
            or data.shape[2] != data.shape[3]
            or data.shape[2] > LARGEST_BLOCK
            or gain.count != gain.shape[0]
        ):
            reading.refuse(module, "not boft_R of square blocks with boft_s")
        elif data.shape[0] > 1 and (data.shape[2] % 2 or not data.shape[1] or data.shape[1] % 2 ** (data.shape[0] - 1)):
            reading.refuse(module, f"boft_R {list(data.shape)} is no butterfly: so many factors need an even block size and 2^(factors - 1) blocks to a group")
        else:
            width = data.shape[1] * data.shape[2]
            reading.changes.append(Rotated(module=module, width=width, parts=(data, gain), turn=partial(_boft, data), gain=gain.flat))


def _boft(data: Stored) -> Turn:
    factors = data.read()
    count, blocks, size, _ = factors.shape
    turn: Turn | None = None
    for at, factor in enumerate(factors):
        order = _butterfly(blocks * size, blocks // 2**at, size // 2) if count > 1 else None
        turned = _cayley(0.5 * (factor - factor.swapaxes(1, 2)))
        # PEFT numbers the entries by where they go: its permutation is our way back.
        turn = Turn(blocks=turned, order=None if order is None else np.argsort(order), back=order, then=turn)
    assert turn is not None
    return turn


def _butterfly(width: int, groups: int, half: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Entries of each of `groups` equal groups, taken in runs of `half`: the even runs first, then the odd ones."""
    runs = np.arange(width).reshape(groups, -1, half)
    return np.concatenate([runs[:, 0::2], runs[:, 1::2]], 1).reshape(-1)


class HraSettings(msgspec.Struct, frozen=True):
    """The fields that decide the turn."""

    apply_GS: bool = False  # noqa: N815


def hra(reading: Reading) -> None:
    """A chain of Householder reflections, kept as the identity plus a low-rank matrix."""
    groups = reading.groups("hra_u")
    settings = reading.settings(HraSettings)
    if settings is None:
        return
    for module, tensors in groups.items():
        mirrors = tensors["hra_u"]
        if len(mirrors.shape) != 2 or not 1 <= mirrors.shape[1] <= LARGEST_RANK:
            reading.refuse(module, f"hra_u {list(mirrors.shape)} is not up to {LARGEST_RANK:,} vectors")
        else:
            reading.changes.append(Rotated(module=module, width=mirrors.shape[0], parts=(mirrors,), turn=partial(_reflections, mirrors, settings.apply_GS)))


def _reflections(stored: Stored, orthogonal: bool) -> Turn:
    """R = H^T of H = (I - 2 u_1 u_1^T)(I - 2 u_2 u_2^T)..., so that W' = W H; with `orthogonal`, the u are made so first."""
    mirrors = stored.read()
    units = mirrors / np.linalg.norm(mirrors, axis=0)
    if orthogonal:
        units = np.linalg.qr(units.astype(np.float64))[0].astype(np.float32)
        return Turn(left=-2 * units, right=units.T)
    left = np.zeros((len(units), 0), np.float32)
    right = left.T
    for u in units.T:
        left, right = np.column_stack([left, -2 * (u + left @ (right @ u))]), np.vstack([right, u])
    return Turn(left=right.T, right=left.T)


class RoadSettings(msgspec.Struct, frozen=True):
    """The fields that decide the turn."""

    variant: str = "road_1"
    group_size: int = 64


def road(reading: Reading) -> None:
    """Pairs of outputs turned in their plane and stretched."""
    groups = reading.groups("road_theta", "road_alpha")
    settings = reading.settings(RoadSettings)
    if settings is None:
        return
    stored = {"road_1": 0.5, "road_2": 1, "road_4": 2}.get(settings.variant)
    if stored is None or settings.group_size < 2 or settings.group_size % 2:
        reading.refuse("variant and group_size", "not a variant of RoAD that is understood")
        return
    for module, tensors in groups.items():
        theta, alpha = tensors.get("road_theta"), tensors.get("road_alpha")
        width = int(theta.count / stored) if theta is not None else 0
        if theta is None or alpha is None or theta.count != alpha.count or not width or width % settings.group_size:
            reading.refuse(module, "road_theta and road_alpha are not angles and lengths of groups of outputs")
        else:
            reading.changes.append(Rotated(module=module, width=width, parts=(theta, alpha), inputs=False, turn=partial(_planes, theta, alpha, settings)))


def _planes(angles: Stored, lengths: Stored, settings: RoadSettings) -> Turn:
    half, theta, alpha = settings.group_size // 2, angles.read().reshape(-1), lengths.read().reshape(-1)
    along, across = alpha * np.cos(theta), alpha * np.sin(theta)
    if settings.variant == "road_1":
        along, across = (np.repeat(v.reshape(-1, half), 2, axis=0).reshape(-1) for v in (along, across))
    elif settings.variant == "road_4":
        along, across = along.reshape(-1, 2, settings.group_size)[:, 0].reshape(-1), across.reshape(-1, 2, settings.group_size)[:, 1].reshape(-1)
    # Entry j of a group's first half goes with entry j of its second half.
    order = np.arange(len(along)).reshape(-1, 2, half).swapaxes(1, 2).reshape(-1)
    c, s = along[order].reshape(-1, 2), across[order].reshape(-1, 2)
    blocks = np.stack([np.stack([c[:, 0], s[:, 1]], 1), np.stack([-s[:, 0], c[:, 1]], 1)], 1)
    return Turn(blocks=blocks.astype(np.float32), order=order, back=np.argsort(order))
