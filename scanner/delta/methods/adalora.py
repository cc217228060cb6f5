"""AdaLoRA: the product of three factors, B diag(E) A, whose ranks were pruned module by module.

Zhang et al. 2023, arXiv 2303.10512. PEFT divides by the rank training began with (plus 1e-5), not by the rank that is left.
"""

from __future__ import annotations

import msgspec

from scanner.delta.lowrank import ModuleDelta
from scanner.delta.methods.lora import LARGEST_RANK
from scanner.delta.reading import Reading
from scanner.delta.stored import Array, Stored


class Settings(msgspec.Struct, frozen=True):
    """The fields that decide the delta."""

    init_r: int = 12
    lora_alpha: float = 8


def read(reading: Reading) -> None:
    """Join the three factors of each module into two."""
    settings = reading.settings(Settings)
    if settings is None:
        return
    if not 1 <= settings.init_r <= 2**31:
        reading.refuse("init_r", f"{settings.init_r} is no rank")
        return
    scale = (settings.lora_alpha if settings.lora_alpha > 0 else float(settings.init_r)) / (settings.init_r + 1e-5)
    for module, tensors in reading.groups("lora_A", "lora_B", "lora_E").items():
        a, b, e = (tensors.get(n) for n in ("lora_A", "lora_B", "lora_E"))
        if a is None or b is None or e is None:
            reading.refuse(module, f"{next(n for n in ('lora_A', 'lora_B', 'lora_E') if n not in tensors)} is missing, so the factors have no meaning")
        elif len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1] or e.shape != (a.shape[0], 1) or a.shape[0] > LARGEST_RANK:
            reading.refuse(module, f"lora_A {list(a.shape)}, lora_E {list(e.shape)} and lora_B {list(b.shape)} are not factors of one rank")
        elif a.shape[0]:
            reading.changes.append(ModuleDelta(module=module, a=_scaled(a, e), b=b, scale=scale))


def _scaled(a: Stored, e: Stored) -> Stored:
    def product() -> Array:
        return a.read() * e.read()

    return Stored(a.shape, product)
