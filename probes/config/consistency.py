"""The configuration against the factors: ranks, modules and layers that do not fit each other."""

from __future__ import annotations

import re
from typing import Any

from probes.config.claim import Claim, Claims
from probes.config.rules import SCALING, TENSORS
from scanner.delta.delta import Delta
from scanner.delta.dense import Dense
from scanner.delta.experts import Experts
from scanner.delta.kronecker import Kronecker
from scanner.delta.lowrank import ModuleDelta
from scanner.files.config import AdapterConfig
from scanner.files.text import printable
from scanner.rule import Severity

LARGEST_SCALING = 64.0
MOST_MATCHES = 1_000_000
_LAYER = re.compile(r"\.(\d{1,6})\.")


def scaling(delta: Delta) -> Claims:
    """Scalings beyond what adapters are trained with, of every method that has one."""
    scaled = [c for c in delta.changes if isinstance(c, ModuleDelta | Kronecker | Dense | Experts)]
    extreme = [c for c in scaled if not 0 < c.scale <= LARGEST_SCALING]
    if extreme:
        worst = max(extreme, key=lambda c: abs(c.scale))
        where = f"{len(extreme)} of {len(scaled)} modules, first {printable(worst.module, 100)}"
        yield Claim(SCALING, "lora_alpha", f"scaling {worst.scale:g} on {where}")


def fit(raw: dict[str, Any], config: AdapterConfig, delta: Delta) -> Claims:
    """LoRA's ranks, target modules and layers against the factors."""
    if config.peft_type != "LORA" or not delta.modules:
        return
    patterns = len(config.rank_pattern or ())
    if patterns * len(delta.modules) <= MOST_MATCHES:
        yield from _ranks(config, delta.modules)
    named = raw.get("target_modules")
    if isinstance(named, list):
        changed = {m.module for m in delta.modules}
        ends = {".".join(parts[i:]) for m in changed for parts in [m.split(".")] for i in range(len(parts))}
        absent = sorted(n for n in named if isinstance(n, str) and n not in ends)
        if absent:
            said = ", ".join(printable(n, 60) for n in absent[:8])
            yield Claim(TENSORS, "target_modules", f"names {said}, of which the file has nothing", Severity.LOW)
    layers = raw.get("layers_to_transform")
    wanted = {n for n in layers if isinstance(n, int)} if isinstance(layers, list) else {layers} if isinstance(layers, int) else set()
    held = {int(found[1]) for m in delta.modules if (found := _LAYER.search(m.module))}
    if wanted and held and not wanted <= held:
        said = ", ".join(map(str, sorted(wanted - held)[:8]))
        yield Claim(TENSORS, "layers_to_transform", f"names layers {printable(said, 80)}, of which the file has nothing", Severity.LOW)


def _ranks(config: AdapterConfig, modules: tuple[ModuleDelta, ...]) -> Claims:
    try:
        wrong = [m for m in modules if config.rank(m.module) != m.rank]
    except ValueError:
        return
    if wrong:
        first = wrong[0]
        where = f"{len(wrong)} of {len(modules)} modules, first {printable(first.module, 100)}"
        yield Claim(TENSORS, "r", f"rank {config.rank(first.module)} declared and {first.rank} in the factors on {where}")
