"""Deltas that are sparse under a transform, or sparse themselves: FourierFT, WaveFT, C3A, SHiRA, Supertuning; and HiRA, which modulates the base.

Gao et al. 2024, arXiv 2405.03003 (FourierFT); Chen et al. 2024, arXiv 2407.19342 (C3A); Bhardwaj et al. 2024, arXiv 2406.13175 (SHiRA);
Huang et al. 2025, OpenReview TwJrTz9cRS (HiRA); Bilican et al. 2025, arXiv 2505.12532 (WaveFT). Supertuning as PEFT 0.21 writes it down.
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

MOST_FREQUENCIES = 4_000_000


class FourierSettings(msgspec.Struct, frozen=True):
    """The fields that decide the delta."""

    scaling: float = 150.0
    random_loc_seed: int = 777


def fourierft(reading: Reading) -> None:
    """The real part of the inverse Fourier transform of a few entries, whose places PEFT draws from a seed."""
    groups = reading.groups("fourierft_spectrum")
    settings = reading.settings(FourierSettings)
    if settings is None:
        return
    _spectra(reading, groups, "fourierft_spectrum", lambda spectrum, shape: partial(_inverse, spectrum, shape, settings))


def _spectra(
    reading: Reading, groups: dict[str, dict[str, Stored]], name: str, addition: Callable[[Stored, tuple[int, int]], Callable[[Array | None], Array]]
) -> None:
    """A dense change for each spectrum of a few entries that fits its module, made by `addition`; the others are refused."""
    for module, tensors in groups.items():
        spectrum = tensors[name]
        shape = reading.shape(module, spectrum)
        if shape is None:
            continue
        if len(spectrum.shape) != 1 or spectrum.count > min(shape[0] * shape[1], MOST_FREQUENCIES) or shape[0] * shape[1] >= 2**32 // 20:
            reading.refuse(module, f"a spectrum of {list(spectrum.shape)} in {list(shape)} is not understood")
        else:
            reading.changes.append(Dense(module=module, shape=shape, parts=(spectrum,), addition=addition(spectrum, shape)))


def _inverse(spectrum: Stored, shape: tuple[int, int], settings: FourierSettings, _: Array | None) -> Array:
    places = first_of_permutation(shape[0] * shape[1], spectrum.count, settings.random_loc_seed)
    dense = np.zeros(shape)
    dense.reshape(-1)[places] = spectrum.read()
    return np.asarray(np.fft.ifft2(dense).real * settings.scaling, np.float32)


def first_of_permutation(count: int, first: int, seed: int) -> np.ndarray:
    """The first entries of PyTorch's `randperm(count)` on a CPU: a Fisher-Yates shuffle fed by MT19937, of which only these steps are made."""
    draws = np.random.RandomState(seed % 2**32).randint(0, 2**32, size=first, dtype=np.uint32).astype(np.int64)
    moved: dict[int, int] = {}
    found = np.empty(first, np.int64)
    for i in range(first):
        j = i + int(draws[i]) % (count - i) if i < count - 1 else i
        found[i] = moved.get(j, j)
        moved[j] = moved.get(i, i)
    return found


class WaveSettings(msgspec.Struct, frozen=True):
    """The fields that decide the delta."""

    scaling: float = 25.0
    random_loc_seed: int = 777
    wavelet_family: str = "db1"
    use_idwt: bool = True


def waveft(reading: Reading) -> None:
    """A few entries, in places PEFT draws from a seed, of the inverse wavelet transform of the delta, or of the delta itself."""
    groups = reading.groups("waveft_spectrum")
    settings = reading.settings(WaveSettings)
    if settings is None:
        return
    if settings.use_idwt and settings.wavelet_family != "db1":
        reading.refuse("wavelet_family", f"{printable(settings.wavelet_family, 40)}: only db1, PEFT's default, is understood")
        return
    _spectra(reading, groups, "waveft_spectrum", lambda spectrum, shape: partial(_waves, spectrum, shape, settings))


def _waves(spectrum: Stored, shape: tuple[int, int], settings: WaveSettings, _: Array | None) -> Array:
    """Haar's inverse transform of one level; odd sizes are made even and the middle is cut out, which drops the last row or column."""
    even = tuple(n + n % 2 for n in shape)
    dense = np.zeros(even, np.float64)
    rows, columns = np.divmod(first_of_permutation(shape[0] * shape[1], spectrum.count, settings.random_loc_seed), shape[1])
    dense[rows, columns] = spectrum.read()
    if settings.use_idwt:
        top, bottom = np.split(dense, 2)
        (smooth, across), (down, both) = np.hsplit(top, 2), np.hsplit(bottom, 2)
        turned = np.empty((even[0] // 2, 2, even[1] // 2, 2))
        for i, j in np.ndindex(2, 2):
            turned[:, i, :, j] = (smooth + (-1) ** i * across + (-1) ** j * down + (-1) ** (i + j) * both) / 2
        dense = turned.reshape(even)
    return np.asarray(dense[: shape[0], : shape[1]] * settings.scaling, np.float32)


def c3a(reading: Reading) -> None:
    """Circulant blocks: each block of outputs is a circular convolution of each block of inputs with a kernel."""
    for module, tensors in reading.groups("c3a_kernel").items():
        kernel = tensors["c3a_kernel"]
        if len(kernel.shape) != 3 or not kernel.count:
            reading.refuse(module, f"c3a_kernel {list(kernel.shape)} is not kernels of blocks")
            continue
        outs, ins, size = kernel.shape
        reading.changes.append(Dense(module=module, shape=(outs * size, ins * size), parts=(kernel,), addition=partial(_circulant, kernel)))


def _circulant(stored: Stored, _: Array | None) -> Array:
    """Entry (m, i), (n, j) is kernel[m, n, (j - i) mod size], over in_features."""
    kernel = stored.read()
    outs, ins, size = kernel.shape
    turn = (np.arange(size)[None, :] - np.arange(size)[:, None]) % size
    return np.asarray(kernel[:, :, turn].transpose(0, 2, 1, 3).reshape(outs * size, ins * size) / (ins * size), np.float32)


class SparseSettings(msgspec.Struct, frozen=True):
    """The fields that decide the delta."""

    init_weights: bool = True


def shira(reading: Reading) -> None:
    """A few entries of the weight, with their places."""
    for module, tensors in reading.groups("shira_weight").items():
        places, values = f"base_model.model.{module}.shira_indices", tensors["shira_weight"]
        shape = reading.shape(module, values)
        tensor = reading.free.pop(places, None)
        if shape is None:
            continue
        if tensor is None or tensor.shape != (2, values.count) or tensor.dtype not in ("I32", "I64"):
            reading.refuse(module, "shira_indices are missing or are not two rows of places")
            continue
        indices = reading.adapter.weights.integers(places).astype(np.int64)
        if indices.size and (indices.min() < 0 or (indices.max(1) >= shape).any()):
            reading.refuse(module, f"shira_indices point out of {list(shape)}")
        else:
            reading.changes.append(Dense(module=module, shape=shape, parts=(values,), addition=partial(_scattered, indices, values, shape)))


def _scattered(indices: np.ndarray, values: Stored, shape: tuple[int, int], _: Array | None) -> Array:
    dense = np.zeros(shape, np.float32)
    np.add.at(dense, tuple(indices), values.read().reshape(-1))
    return dense


class SuperSettings(msgspec.Struct, frozen=True):
    """The fields that decide the delta."""

    r: int = 0
    lora_alpha: float = 0.0


def supertuning(reading: Reading) -> None:
    """A few entries of the weight, their places counted row by row, and a LoRA besides where r is set."""
    factors = ("supertuning_lora_A.weight", "supertuning_lora_B.weight")
    groups = reading.groups("supertuning_values", *factors)
    settings = reading.settings(SuperSettings)
    if settings is None:
        return
    for module, tensors in groups.items():
        values, a, b = (tensors.get(n) for n in ("supertuning_values", *factors))
        shape = reading.shape(module, *tensors.values())
        places = f"base_model.model.{module}.supertuning_indices"
        tensor = reading.free.pop(places, None)
        if shape is None:
            continue
        if values is None or tensor is None or tensor.shape != (values.count,) or tensor.dtype not in ("I32", "I64"):
            reading.refuse(module, "the places of its values are not in the file, or are not one for each")
            continue
        indices = reading.adapter.weights.integers(places)
        if indices.size and (indices.min() < 0 or indices.max() >= shape[0] * shape[1]):
            reading.refuse(module, f"supertuning_indices point out of {list(shape)}")
            continue
        if settings.r and (a is None or b is None or a.shape != (settings.r, shape[1]) or b.shape != (shape[0], settings.r)):
            reading.refuse(module, f"not factors of rank {settings.r} beside the sparse values")
            continue
        spread = np.stack(np.divmod(indices, shape[1]))
        reading.changes.append(Dense(module=module, shape=shape, parts=(values,), addition=partial(_scattered, spread, values, shape)))
        if settings.r and a is not None and b is not None:
            reading.changes.append(ModuleDelta(module=module, a=a, b=b, scale=settings.lora_alpha / settings.r))


def hira(reading: Reading) -> None:
    """W o (B A): every entry of the base's weight times an entry of a low-rank matrix."""
    for module, tensors in reading.groups("hira_A", "hira_B").items():
        a, b = tensors.get("hira_A"), tensors.get("hira_B")
        if a is None or b is None or len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1]:
            reading.refuse(module, "hira_A and hira_B are not factors of one rank")
        else:
            shape = (b.shape[0], a.shape[1])
            reading.changes.append(Dense(module=module, shape=shape, parts=(a, b), exact=False, addition=partial(_modulated, a, b)))


def _modulated(a: Stored, b: Stored, weight: Array | None) -> Array:
    assert weight is not None
    return weight * (b.read() @ a.read())
