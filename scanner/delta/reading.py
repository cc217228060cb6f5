"""The tensors of one adapter while they are turned into changes: each is claimed once, or said to be something else."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from scanner.delta.change import Change
from scanner.delta.deferred import Deferred
from scanner.delta.replaced import Rows
from scanner.delta.stored import Stored
from scanner.delta.targets import Targets
from scanner.files.adapter import Adapter
from scanner.files.text import printable
from scanner.model.base import Base

PREFIX = "base_model.model."
FLOATS = frozenset(["F64", "F32", "F16", "BF16"])
WRAPPERS = frozenset(["base_layer", "modules_to_save", "original_module"])
S = TypeVar("S")


class Role(StrEnum):
    """What a tensor that is not part of a delta would do when the file is loaded."""

    BASE_WEIGHT = "overwrites a weight of the base"
    SAVED_MODULE = "replaces a module named in modules_to_save"
    HEAD = "a task head, which PEFT replaces for this task"
    EMBEDDING = "a whole embedding or output matrix, which PEFT copies over the base's"
    COPY = "an unchanged copy of a weight of the base"
    BIAS = "a bias of the base, which the configuration says was trained"
    DECOY = "named for another adapter: ignored or loaded depending on the loader"
    WRAPPED = "wrapped in more than one base_model.model prefix: PEFT ignores it, vLLM and llama.cpp take all of them off"
    UNPREFIXED = "factors without PEFT's prefix: PEFT ignores them, vLLM and llama.cpp apply them"
    UNTARGETED = "factors of a module that target_modules does not name: PEFT ignores them, vLLM and llama.cpp apply them"
    OTHER = "not part of the method as PEFT reads it"


class Stray(msgspec.Struct, frozen=True):
    """A tensor outside the delta."""

    name: str
    module: str
    role: Role


class Unmeasured(msgspec.Struct, frozen=True):
    """A part of the adapter that a loader may apply and that was not understood."""

    what: str
    why: str
    whole: bool = False
    """Whether the model that runs cannot be made without it, so that its behaviour is not measured either."""


class Reading:
    """One adapter's tensors, and what they were found to be."""

    def __init__(self, adapter: Adapter, base: Base | None) -> None:
        """Nothing is claimed yet."""
        self.adapter, self.base = adapter, base
        self.understood = True
        """Whether the method is known, so that a tensor it does not claim is none of its own."""
        self.raw = adapter.config_file.raw
        self.targets = Targets(self.raw)
        self.free = dict(adapter.weights.tensors)
        self.changes: list[Change] = []
        self.strays: list[Stray] = []
        self.unmeasured: list[Unmeasured] = []

    def settings(self, type: type[S]) -> S | None:
        """The configuration as the method's own fields, or None, said to be not measured, where a field has another type."""
        try:
            return msgspec.convert({k: v for k, v in self.raw.items() if v is not None}, type)
        except msgspec.ValidationError as error:
            self.refuse("adapter_config.json", printable(error, 160))
            return None

    def groups(self, *endings: str, targeted: bool = True, among: Callable[[str], bool] | None = None) -> dict[str, dict[str, Stored]]:
        """Tensors named `base_model.model.MODULE.ENDING`, by module and ending, claimed; modules in the order of their layers.

        Those of modules that the configuration does not name are no part of the delta, unless `targeted` is false. Those of modules
        that are not `among` the ones looked for stay free.
        """
        pattern = re.compile(rf"{re.escape(PREFIX)}(?P<module>.+?)\.(?P<ending>{'|'.join(re.escape(e) for e in endings)})")
        found: dict[str, dict[str, Stored]] = {}
        for name in list(self.free):
            match = pattern.fullmatch(name)
            if match is None or match["module"].startswith(PREFIX) or (among and not among(match["module"])):
                continue
            if targeted and self.targets.covers(match["module"]) is False:
                self.stray(name, match["module"], self._untargeted(match["module"], match["ending"]))
                continue
            tensor = self.take(name)
            if tensor is not None:
                found.setdefault(match["module"], {})[match["ending"]] = tensor
        return {m: found[m] for m in sorted(found, key=natural)}

    @staticmethod
    def _untargeted(module: str, ending: str) -> Role:
        """What factors are that PEFT ignores: other loaders take those of LoRA, unless the module is one of PEFT's own wrappers."""
        return Role.UNTARGETED if "lora_" in ending and WRAPPERS.isdisjoint(module.split(".")) else Role.OTHER

    def tokens(self, ending: str, wanted: Any) -> None:
        """Claim trained rows of embeddings; `wanted` are the configuration's token ids, for all modules or by module."""
        for module, tensors in self.groups(ending, targeted=False).items():
            ids = wanted
            if isinstance(ids, dict):
                ids = next((v for k, v in ids.items() if module == k or module.endswith(f".{k}")), None)
            values = tensors[ending]
            if not isinstance(ids, list) or not all(type(t) is int and 0 <= t < 2**31 for t in ids) or len(values.shape) != 2 or values.shape[0] != len(ids):
                self.refuse(module, f"trained tokens {list(values.shape)} do not fit the token ids {printable(ids, 60)}")
            else:
                self.changes.append(Rows(module=module, tokens=tuple(ids), values=values))

    def shape(self, module: str, *parts: Stored) -> tuple[int, int] | None:
        """(out_features, in_features) of `module` in the base; None where there is no base, with `parts` kept for one, and where it cannot be told."""
        if self.base is None:
            self.changes.append(Deferred(module=module, parts=parts))
            return None
        shape = self.base.shape(module)
        if shape is None:
            self.refuse(module, "the base has no such module")
        elif len(shape) != 2:
            self.refuse(module, f"{list(shape)} is no matrix")
        else:
            return shape[0], shape[1]
        return None

    def take(self, name: str) -> Stored | None:
        """Claim the tensor `name`; None, said to be not measured, where its values are not plain floats."""
        tensor = self.free.pop(name)
        if tensor.dtype not in FLOATS:
            self.refuse(name, f"its values are {tensor.dtype}, not plain floats")
            return None
        return Stored(tensor.shape, lambda: self.adapter.weights.read(name))

    def shared(self, name: str) -> Stored | None:
        """Claim the tensor `name`, which belongs to all modules; None where there is none."""
        return self.take(name) if name in self.free else None

    def refuse(self, what: str, why: str, whole: bool = False) -> None:
        """Say that `what` was not measured; `whole`, that what is understood besides is not what runs."""
        self.unmeasured.append(Unmeasured(printable(what, 160), why, whole))

    def stray(self, name: str, module: str, role: Role) -> None:
        """Say what the tensor `name` is instead."""
        self.free.pop(name, None)
        self.strays.append(Stray(name, module, role))


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts layer 2 before layer 10."""
    return [(int(part), "") if part.isdecimal() and len(part) < 9 else (-1, part) for part in name.split(".")]
