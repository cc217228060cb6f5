"""What loaders other than PEFT make of the same LoRA: which modules they change, how strongly, and which files they turn down.

Read in the sources of vLLM 0.33 (vllm/lora) and of llama.cpp's convert_lora_to_gguf.py (July 2026). Both go by the names in the file,
take PEFT's prefix off wherever it stands, and know one alpha: vLLM divides it by the configured rank, or its root for rsLoRA;
llama.cpp always by the rank of the factors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import msgspec

from scanner.delta.delta import Delta
from scanner.delta.methods.lora import REWRITING
from scanner.delta.reading import PREFIX, Role
from scanner.files.adapter import Adapter
from scanner.files.text import printable

_PAIR = re.compile(r"^(?P<module>.+)\.(?:lora_(?P<linear>[AB])\.weight|lora_embedding_(?P<embedded>[AB]))$")
VLLM_REFUSES = ("use_dora", "lora_bias", "alora_invocation_tokens", "layer_replication", "use_qalora", "use_bdlora", "arrow_config")


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What one loader makes of the file."""

    loader: str
    refuses: str = ""
    """Why it does not load the file at all, or an empty string."""
    scales: dict[str, float] = {}
    """What B A is multiplied by, for every module it changes."""


class Pair(msgspec.Struct, frozen=True):
    """Two factors as a loader that takes prefixes off wherever they stand sees them."""

    module: str
    written: str
    """The module as the file writes it."""
    rank: int


def pairs(adapter: Adapter) -> list[Pair]:
    """Every pair of factors of the file, whatever prefix it has."""
    found: dict[str, dict[str, int]] = {}
    for name, tensor in adapter.weights.tensors.items():
        match = _PAIR.match(name)
        if match and len(tensor.shape) == 2:
            side = match["linear"] or match["embedded"]
            found.setdefault(match["module"], {})[side] = tensor.shape[0 if side == "A" else 1]
    return [Pair(written.replace(PREFIX, ""), written, sides["A"]) for written, sides in found.items() if sides.keys() == {"A", "B"}]


def views(adapter: Adapter, delta: Delta) -> list[View]:
    """PEFT's view, vLLM's and llama.cpp's."""
    config = adapter.config
    seen = pairs(adapter)

    def others(scale: Callable[[Pair], float]) -> dict[str, float]:
        return {p.module: scale(p) for p in seen}

    root = math.sqrt(config.r) if config.use_rslora and config.r > 0 else config.r
    return [
        View(loader="PEFT", scales={m.module: m.scale for m in delta.modules}),
        View(loader="vLLM", refuses=_vllm(adapter, delta), scales=others(lambda _: config.lora_alpha / root if root else 0.0)),
        View(loader="llama.cpp", refuses=_llama(adapter, delta), scales=others(lambda p: config.lora_alpha / p.rank if p.rank else 0.0)),
    ]


def _vllm(adapter: Adapter, delta: Delta) -> str:
    raw = adapter.config_file.raw
    if adapter.config.peft_type != "LORA":
        return f"knows no {printable(adapter.config.peft_type, 40)}"
    for field in VLLM_REFUSES:
        if raw.get(field):
            return f"knows no {field}"
    if str(raw.get("init_lora_weights")).lower().startswith(REWRITING):
        return f"knows no init_lora_weights {printable(raw['init_lora_weights'], 40)}"
    if adapter.config.bias != "none":
        return "takes no biases"
    if set(adapter.config.modules_to_save or ()) - {"classifier", "score"}:
        return "knows no modules_to_save"
    return _tensors(delta, (Role.BASE_WEIGHT, Role.SAVED_MODULE, Role.DECOY, Role.BIAS))


def _llama(adapter: Adapter, delta: Delta) -> str:
    if adapter.config.peft_type != "LORA":
        return f"knows no {printable(adapter.config.peft_type, 40)}"
    if adapter.config.use_dora:
        return "knows no use_dora"
    return _tensors(delta, (Role.BASE_WEIGHT, Role.SAVED_MODULE, Role.HEAD, Role.EMBEDDING, Role.DECOY, Role.BIAS))


def _tensors(delta: Delta, roles: tuple[Role, ...]) -> str:
    """Why tensors of one of `roles`, under names no factor has, end the loading."""
    for stray in delta.strays:
        skipped = stray.role is Role.BASE_WEIGHT and ".base_layer." in stray.name
        if stray.role in roles and not skipped:
            return f"stops at {printable(stray.name, 100)}"
    return ""
