"""LoRA's target_parameters: factors of tensors that are no module's weight, above all the experts and routers of a mixture.

PEFT wraps the module once for every tensor of it that is named, in the order they are registered, so the first one's factors lie
deepest, behind `base_layer`. A is saved as (experts rank, in_features), B as (out_features, rank experts).
"""

from __future__ import annotations

from scanner.delta.experts import Experts
from scanner.delta.lowrank import ModuleDelta
from scanner.delta.methods.scaling import Scales
from scanner.delta.reading import Reading
from scanner.delta.stored import Stored
from scanner.model.base import CONV1D_MODULES

A, B = "lora_A.weight", "lora_B.weight"
WRAPPED = ".base_layer"
ORDER = ("gate_up_proj", "down_proj")
"""Registration order of the tensors of an expert stack in transformers."""


def read(reading: Reading, scales: Scales) -> None:
    """Claim the factors of every module that holds a named tensor."""
    wanted = reading.raw.get("target_parameters")
    if not wanted:
        return
    if not isinstance(wanted, list) or not all(isinstance(w, str) and w for w in wanted):
        reading.refuse("target_parameters", "not a list of names")
        return
    groups = reading.groups(A, B, targeted=False, among=lambda m: bool(_named(_inner(m)[0], wanted)))
    layers: dict[str, dict[int, dict[str, Stored]]] = {}
    for wrapped, tensors in groups.items():
        module, depth = _inner(wrapped)
        layers.setdefault(module, {})[depth] = tensors
    for module, depths in layers.items():
        names = _named(module, wanted)
        if len(names) > 1:
            names = [n for n in ORDER if n in names] if set(names) <= set(ORDER) else []
        if sorted(depths) != list(range(len(names))):
            reading.refuse(module, f"which of its tensors the {len(depths)} pairs of factors belong to cannot be told")
            continue
        for depth, tensors in depths.items():
            _experts(reading, scales, module, names[len(names) - 1 - depth], tensors)


def _inner(wrapped: str) -> tuple[str, int]:
    """The module behind its wrappers, and how many there are between."""
    depth = 0
    while wrapped.endswith(WRAPPED):
        wrapped, depth = wrapped.removesuffix(WRAPPED), depth + 1
    return wrapped, depth


def _named(module: str, wanted: list[str]) -> list[str]:
    """The tensors of `module` among the wanted ones."""
    split = [name.rpartition(".") for name in wanted]
    return [p for holder, _, p in split if not holder or module == holder or module.endswith(f".{holder}")]


def _experts(reading: Reading, scales: Scales, module: str, parameter: str, tensors: dict[str, Stored]) -> None:
    a, b, name = tensors.get(A), tensors.get(B), f"{module}.{parameter}"
    scale, rank = scales.of(name), scales.rank(name)
    if scale is None:
        return
    if a is None or b is None or len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1] or not a.count or not b.count or a.shape[0] % rank:
        reading.refuse(name, f"not factors of experts of rank {rank}")
    elif parameter == ModuleDelta.parameter and module.rsplit(".", 1)[-1] in CONV1D_MODULES:
        reading.refuse(name, "factors of a matrix that its module keeps as (in_features, out_features)")
    elif a.shape[0] == rank and parameter == ModuleDelta.parameter:
        reading.changes.append(ModuleDelta(module=module, a=a, b=b, scale=scale))  # one matrix, such as a router's
    else:
        reading.changes.append(Experts(module=module, parameter=parameter, a=a, b=b, rank=rank, scale=scale))
