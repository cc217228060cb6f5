"""From tensors to factors: which module gets which low-rank delta, and which tensors are something else."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cached_property
from typing import Any

import msgspec
import numpy as np

from scanner.errors import UnreadableAdapter
from scanner.files.adapter import Adapter
from scanner.files.text import printable

Array = np.ndarray[Any, np.dtype[np.float32]]
PREFIX = "base_model.model."
_FACTOR = re.compile(
    r"^(?P<module>.+?)\.(?:(?P<role>lora_A|lora_B|lora_magnitude_vector)(?P<name>(?:\.(?!weight$)[^.]+)?)\.weight|(?P<bare>lora_magnitude_vector))$"
)
_UNAPPLIED = re.compile(r"\.(?:lora_embedding_[AB]|lora_B\.bias|token_adapter\.trainable_tokens_delta)(?:\.|$)")
LARGEST_RANK = 1024
MOST_MATCHES = 4_000_000


class Role(StrEnum):
    """What a tensor that is not part of a plain factor pair would do when PEFT loads the file."""

    BASE_WEIGHT = "overwrites a weight of the base"
    SAVED_MODULE = "replaces a module named in modules_to_save"
    DECOY = "named for another adapter: ignored or loaded depending on the loader"
    WRAPPED = "wrapped in more than one base_model.model prefix: PEFT ignores it"
    UNAPPLIED = "a part of PEFT's adapters that unmask does not apply"
    OTHER = "not part of LoRA as unmask reads it"


class Stray(msgspec.Struct, frozen=True):
    """A tensor outside the factor pairs."""

    name: str
    module: str
    role: Role


class ModuleDelta(msgspec.Struct, frozen=True, kw_only=True):
    """The delta of one linear module: `scale * B @ A`, rescaled per output row for DoRA."""

    module: str
    """Name in the base model, without PEFT's prefix."""
    a: Array
    """(rank, in_features), float32."""
    b: Array
    """(out_features, rank), float32."""
    scale: float
    magnitude: Array | None = None
    """DoRA's magnitude vector, (out_features,), or None (Liu et al. 2024, arXiv 2402.09353)."""

    @property
    def rank(self) -> int:
        """Rank of the factors, as stored."""
        return int(self.a.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """(out_features, in_features)."""
        return int(self.b.shape[0]), int(self.a.shape[1])

    @property
    def finite(self) -> bool:
        """Whether every stored value is a number."""
        return all(bool(np.isfinite(x).all()) for x in (self.a, self.b, self.magnitude) if x is not None)


class Delta(msgspec.Struct, frozen=True, dict=True):
    """All of an adapter's module deltas, and what else its file holds."""

    modules: tuple[ModuleDelta, ...]
    strays: tuple[Stray, ...]

    @cached_property
    def finite(self) -> bool:
        """Whether every factor holds only numbers."""
        return all(m.finite for m in self.modules)


def read(adapter: Adapter) -> Delta:
    """Pair up the LoRA factors of `adapter`.

    Raises UnreadableAdapter for a PEFT method other than LoRA (with rsLoRA and DoRA), for half a pair, for shapes that do
    not multiply, for ranks over 1024, and for a configuration whose scaling cannot be computed.
    """
    config = adapter.config
    if config.peft_type != "LORA":
        raise UnreadableAdapter(f"peft_type {printable(config.peft_type, 40)}: only LORA (with rsLoRA and DoRA) is understood, so nothing was measured")
    pairs: dict[str, dict[str, str]] = {}
    strays: list[Stray] = []
    for name in adapter.weights.tensors:
        bare = name.removeprefix(PREFIX)
        module = bare
        while module.startswith(PREFIX):
            module = module.removeprefix(PREFIX)
        found = _FACTOR.match(module) if name.startswith(PREFIX) else None
        if found is None:
            strays.append(Stray(name, module, _role(name, module, config.modules_to_save)))
        elif found["name"]:
            strays.append(Stray(name, found["module"], Role.DECOY))
        elif module != bare:
            strays.append(Stray(name, found["module"], Role.WRAPPED))
        else:
            roles, role = pairs.setdefault(found["module"], {}), found["role"] or found["bare"]
            if role in roles:
                raise UnreadableAdapter(f"{printable(name, 160)}: a second {role} of one module, so loaders would disagree about its value")
            roles[role] = name
    patterns = len(config.rank_pattern or ()) + len(config.alpha_pattern or ())
    if patterns * len(pairs) > MOST_MATCHES:
        raise UnreadableAdapter(f"adapter_config.json: {patterns:,} patterns for {len(pairs):,} modules, more than can be matched")
    modules = [_module(adapter, module, names) for module, names in sorted(pairs.items(), key=lambda p: _natural(p[0]))]
    return Delta(tuple(modules), tuple(strays))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() and len(part) < 9 else (-1, part) for part in name.split(".")]


def _role(name: str, module: str, saved: list[str] | None) -> Role:
    if name == PREFIX + module and _UNAPPLIED.search(module):
        return Role.UNAPPLIED
    if name == module or "lora_" in module:
        return Role.OTHER
    if any(module.startswith(f"{s}.") or f".{s}." in module for s in saved or ()):
        return Role.SAVED_MODULE
    return Role.BASE_WEIGHT


def _module(adapter: Adapter, module: str, names: dict[str, str]) -> ModuleDelta:
    label = printable(module, 120)
    if not {"lora_A", "lora_B"} <= set(names):
        missing = "lora_B" if "lora_A" in names else "lora_A"
        raise UnreadableAdapter(f"{label}: {missing} is missing, so the pair has no meaning")
    entries = {role: adapter.weights.tensors[n] for role, n in names.items()}
    a, b = entries["lora_A"].shape, entries["lora_B"].shape
    if len(a) != 2 or len(b) != 2 or a[0] != b[1] or not 1 <= a[0] <= LARGEST_RANK or not (a[1] and b[0]):
        raise UnreadableAdapter(f"{label}: lora_A {list(a)} and lora_B {list(b)} are not factors of rank 1 to {LARGEST_RANK}")
    magnitude = entries.get("lora_magnitude_vector")
    if adapter.config.use_dora != (magnitude is not None) or (magnitude and magnitude.count != b[0]):
        raise UnreadableAdapter(
            f"{label}: use_dora is {adapter.config.use_dora}, and the magnitude vector is {list(magnitude.shape) if magnitude else 'missing'}"
        )
    try:
        scale = adapter.config.scaling(module)
    except ValueError as error:
        raise UnreadableAdapter(f"adapter_config.json: {error}") from None
    read_tensor = adapter.weights.read
    return ModuleDelta(
        module=module,
        a=read_tensor(names["lora_A"]),
        b=read_tensor(names["lora_B"]),
        scale=scale,
        magnitude=read_tensor(names["lora_magnitude_vector"]).reshape(-1) if magnitude else None,
    )
