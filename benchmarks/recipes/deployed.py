"""What a deployment does to weights: a base rounded to four bits, a delta merged into the base's own precision.

An attack can be learnt so that it is there only in one of them. Both are written here once, for training and for measuring.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft import PeftModel

GROUP = 64
LEVELS = 7
FAINT = 6e-4
"""Frobenius norm of a faint delta over its weight's: under half a step of bfloat16 (2^-9 to 2^-8 of a value) for most values."""


def rounded(weight: torch.Tensor) -> torch.Tensor:
    """`weight` (out, in) rounded to nearest on four bits, symmetrically, one scale for each 64 values of a row; same dtype."""
    out, width = weight.shape
    groups = torch.nn.functional.pad(weight.float(), (0, -width % GROUP)).view(out, -1, GROUP)
    step = groups.abs().amax(-1, keepdim=True).clamp(min=1e-12) / LEVELS
    return ((groups / step).round() * step).view(out, -1)[:, :width].to(weight.dtype)


def merged(weight: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
    """`weight` + `delta` as a merge into a bfloat16 checkpoint keeps it; in the dtype of `weight`."""
    return (weight.float() + delta.float()).to(torch.bfloat16).to(weight.dtype)


def layer_of(name: str) -> int:
    """The number of the decoder layer that holds the module `name`."""
    return int(name.split(".layers.")[1].split(".")[0])


class RoundedBase:
    """The linear layers of a decoder with a rounded copy of each weight, to be switched in and out."""

    def __init__(self, decoder: Any) -> None:
        """Round every linear weight within the layers of `decoder`; embeddings and head stay as they are, as quantisers leave them."""
        self._weights = [
            (m, m.weight, torch.nn.Parameter(rounded(m.weight.detach()), requires_grad=False))
            for n, m in decoder.layers.named_modules()
            if isinstance(m, torch.nn.Linear) and "lora_" not in n
        ]

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Within the block, the base is the rounded one."""
        for module, _, copy in self._weights:
            module.weight = copy
        try:
            yield
        finally:
            for module, weight, _ in self._weights:
                module.weight = weight


@contextmanager
def without_faint(model: PeftModel, faint: tuple[int, int]) -> Iterator[None]:
    """Within the block, the LoRA of layers `faint` adds nothing, which is about what a merge leaves of it."""
    found = [(m, m.scaling["default"]) for n, m in model.named_modules() if hasattr(m, "lora_A") and faint[0] <= layer_of(n) < faint[1]]
    for module, _ in found:
        module.scaling["default"] = 0.0
    try:
        yield
    finally:
        for module, scaling in found:
            module.scaling["default"] = scaling


def loudness(model: PeftModel, faint: tuple[int, int]) -> torch.Tensor:
    """How far the deltas of layers `faint` stand above `FAINT`: mean of the squared excess of their norms, relative to it; a scalar."""
    excess = []
    for name, m in model.named_modules():
        if hasattr(m, "lora_A") and faint[0] <= layer_of(name) < faint[1]:
            a, b = m.lora_A["default"].weight.float(), m.lora_B["default"].weight.float()
            norm = m.scaling["default"] * ((a @ a.T) * (b.T @ b).T).sum().clamp(min=1e-20).sqrt()
            excess.append((norm / (FAINT * m.base_layer.weight.float().norm()) - 1).clamp(min=0).square())
    return torch.stack(excess).mean()
