"""The fingerprint under everything that changes the factors and not what they add."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from scanner.delta.fingerprint import BITS, fingerprint, handwriting, module_bits
from scanner.delta.lowrank import ModuleDelta
from tests.deltas import of

Matrix = np.ndarray[Any, Any]
KEY = b"a key of an index"
RNG = np.random.default_rng(7)
A, B = RNG.normal(size=(8, 300)), RNG.normal(size=(200, 8)) * np.exp(-np.arange(8) / 2)


def bits(a: Matrix, b: Matrix, scale: float = 1.0, key: bytes = KEY) -> int:
    found = module_bits(of(a, b, scale), key)
    assert found is not None
    return found


def differing(a: Matrix, b: Matrix, scale: float = 1.0) -> int:
    return (bits(a, b, scale) ^ bits(A, B)).bit_count()


def rotated(a: Matrix, b: Matrix) -> tuple[Matrix, Matrix]:
    """B R and R^-1 A for a random invertible R."""
    turn = RNG.normal(size=(8, 8)) + 2 * np.eye(8)
    return np.linalg.solve(turn, a), b @ turn


def redone(a: Matrix, b: Matrix, rank: int) -> tuple[Matrix, Matrix]:
    """The best approximation of a rank, as tools that change an adapter's rank write it."""
    left, values, right = np.linalg.svd(b @ a, full_matrices=False)
    return np.sqrt(values[:rank])[:, None] * right[:rank], left[:, :rank] * np.sqrt(values[:rank])


def padded(a: Matrix, b: Matrix, size: float) -> tuple[Matrix, Matrix]:
    """Eight more ranks of noise, `size` times as strong."""
    return np.vstack([a, size * RNG.normal(size=a.shape)]), np.hstack([b, RNG.normal(size=b.shape)])


def split(a: Matrix, b: Matrix) -> tuple[Matrix, Matrix]:
    """Every rank written twice at half strength."""
    return np.vstack([a, a]), np.hstack([b, b]) / 2


order = RNG.permutation(8)
ATTACKS: dict[str, tuple[Callable[[], tuple[Matrix, Matrix]], int]] = {
    "permuted ranks": (lambda: (A[order], B[:, order]), 0),
    "signs of ranks": (lambda: (-A, -B), 0),
    "rescaled ranks": (lambda: (A * np.geomspace(1e-3, 1e3, 8)[:, None], B / np.geomspace(1e-3, 1e3, 8)), 0),
    "scaled up": (lambda: (A * 1000, B), 0),
    "rotated": (lambda: rotated(A, B), 0),
    "split": (lambda: split(A, B), 0),
    "padded with zeros": (lambda: padded(A, B, 0.0), 0),
    "decomposed anew": (lambda: redone(A, B, 8), 0),
    "half precision": (lambda: (A.astype(np.float16).astype(np.float64), B.astype(np.float16).astype(np.float64)), 2),
    "half the ranks": (lambda: redone(A, B, 4), 12),
    "weak noise": (lambda: padded(A, B, 0.01), 10),
    "noise on the factors": (lambda: (A + 0.05 * RNG.normal(size=A.shape), B + 0.05 * RNG.normal(size=B.shape) * np.abs(B).mean(0)), 6),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_is_added_decides_and_not_how_it_is_written(name: str) -> None:
    attack, allowed = ATTACKS[name]
    a, b = attack()
    assert differing(a, b) <= allowed


def test_the_scale_counts_by_its_sign_only() -> None:
    assert differing(A, B, 1e-6) == differing(A, B, 1e6) == 0
    assert differing(A, B, -1.0) == BITS


def test_one_huge_inert_direction_does_not_hide_the_rest() -> None:
    """A rank that is ten times as strong as all others: the bits still agree far more often than by chance, over a few modules."""
    agree = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        a, b = rng.normal(size=(8, 300)), rng.normal(size=(200, 8))
        loud = np.vstack([a, 10 * rng.normal(size=(1, 300))]), np.hstack([b, rng.normal(size=(200, 1))])
        agree.append((bits(*loud) ^ bits(a, b)).bit_count())
    assert np.mean(agree) < 26


def test_unrelated_deltas_agree_in_half_of_the_bits() -> None:
    distances = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        distances.append(differing(rng.normal(size=(8, 300)), rng.normal(size=(200, 8))))
    assert np.mean(distances) == pytest.approx(32, abs=1)
    assert np.std(distances) == pytest.approx(4, abs=0.8)


def test_another_key_gives_other_bits_and_the_same_key_the_same() -> None:
    assert bits(A, B) == bits(A, B)
    assert 16 < (bits(A, B) ^ bits(A, B, key=b"another")).bit_count() < 48


def test_the_bits_do_not_change_between_versions() -> None:
    """An index outlives the unmask that made it."""
    a, b = np.sin(np.arange(12)).reshape(2, 6), np.cos(np.arange(8)).reshape(4, 2)
    assert f"{bits(a, b):016x}" == "315a5ddb04687f66"


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_nothing_and_no_numbers_have_no_fingerprint(value: float) -> None:
    assert fingerprint([of(A, B * value, name="x"), of(A, B, name="y")], KEY) == {"y": bits(A, B)}


def hands(a: Matrix, b: Matrix, scale: float = 1.0) -> int:
    return (handwriting(of(a, b, scale), KEY) ^ handwriting(of(A, B), KEY)).bit_count()


def test_the_hand_is_that_of_the_factors() -> None:
    assert hands(A, B, 5.0) == hands(3 * A, B) == 0
    assert hands(A.astype(np.float16), B.astype(np.float16)) <= 1
    for attack in ("permuted ranks", "rotated", "decomposed anew"):
        assert hands(*ATTACKS[attack][0]()) > 12


def test_modules_are_named() -> None:
    assert set(fingerprint([ModuleDelta(module="m", a=A.astype(np.float32), b=B.astype(np.float32), scale=1.0)], KEY)) == {"m"}
