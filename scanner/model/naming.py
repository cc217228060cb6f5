"""The modules of a base that an adapter in llama.cpp's, kohya's or diffusers' names changes, so that its behaviour can be measured on that base.

- GGUF: names by the `gguf` package's own tables. Of llama's queries and keys llama.cpp keeps the rows in another order (its rotary embedding
  turns neighbours, transformers' turns halves), which is undone on the factor that writes the outputs.
- kohya: `lora_unet_` or `lora_te_` and the module's name with underscores for dots, looked up among the base's names.
- diffusers: the module's name, behind the name of the part of a pipeline it belongs to.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from scanner.errors import UnusableBase
from scanner.files.adapter import Adapter
from scanner.files.config import ConfigFile, typed
from scanner.files.dialects import PREFIX, Dialect, Translated
from scanner.files.text import printable
from scanner.files.weights import Floats, Tensor, Weights
from scanner.model.base import Base

PERMUTED = frozenset(["llama", "granite"])
"""Architectures of llama.cpp whose queries and keys are stored in another order of rows."""
PLAIN = frozenset(["qwen2", "qwen3", "gemma", "gemma2", "gemma3", "phi3"])
"""Architectures whose linear modules are stored as transformers has them."""
KOHYA = re.compile(r"^(?:lora_(?:unet|te\d?|transformer)|lycoris)_")
Places = Callable[[str], list[str]]
"""The modules of a base that go by a name of another tool's."""
_FACTOR = re.compile(rf"^{re.escape(PREFIX)}(?P<module>.+?)\.(?P<part>lora_[AB]\.weight|(?:hada|lokr)_[a-z0-9_]+)$")


class Mapped(Translated):
    """Weights under the names of a base's modules, their rows in its order."""

    def __init__(self, weights: Weights, names: dict[str, str], heads: dict[str, int]) -> None:
        """`names` gives the old name for every new one, `heads` the number of heads of those whose rows are reordered."""
        super().__init__(weights, names)
        self._heads = heads

    def read(self, name: str) -> Floats:
        """The tensor as float32. Raises UnreadableAdapter for a dtype that is not a float."""
        value, heads = super().read(name), self._heads.get(name)
        if heads is None:
            return value
        return value.reshape(heads, len(value) // heads // 2, 2, *value.shape[1:]).swapaxes(1, 2).reshape(value.shape)


def mapped(adapter: Adapter, base: Base) -> Adapter:
    """`adapter` under the names of `base`'s modules; one in PEFT's names as it is.

    Raises UnusableBase where a module has no place in the base, or more than one, and for an architecture whose layout is not understood.
    """
    if adapter.dialect is Dialect.PEFT:
        return adapter
    places = _gguf(adapter, base) if adapter.dialect is Dialect.GGUF else _dotted(base)
    modules: dict[str, str] = {}
    names: dict[str, str] = {}
    heads: dict[str, int] = {}
    for name in adapter.weights.tensors:
        factor = _FACTOR.match(name)
        if factor is None:
            names[name] = name
            continue
        given = factor["module"]
        found = places(given) if given not in modules else [modules[given]]
        if len(found) != 1:
            what = "does not have" if not found else f"has {len(found)} of"
            raise UnusableBase(f"the adapter changes {printable(given, 100)}, which the base {printable(base.name)} {what}: it was made for another base")
        modules[given] = found[0]
        new = f"{PREFIX}{found[0]}.{factor['part']}"
        if new in names:
            raise UnusableBase(f"two tensors of the adapter are factors of {printable(found[0], 100)} in the base {printable(base.name)}")
        names[new] = name
        count = _heads(adapter, base, found[0]) if factor["part"] == "lora_B.weight" else None
        if count is not None:
            heads[new] = _divides(count, adapter.weights.tensors[name], given)
    raw = dict(adapter.config_file.raw)
    raw["target_modules"] = sorted(modules.values())
    for pattern in ("rank_pattern", "alpha_pattern"):
        old = raw.get(pattern) or {}
        raw[pattern] = {f"^{re.escape(new)}": old[key] for given, new in modules.items() if (key := f"^{re.escape(given)}") in old}
    settings = ConfigFile(typed(raw), raw, written=False)
    return msgspec.structs.replace(adapter, weights=Mapped(adapter.weights, names, heads), config_file=settings)


def _divides(heads: int, factor: Tensor, module: str) -> int:
    if not factor.shape or heads < 1 or factor.shape[0] % (2 * heads):
        raise UnusableBase(f"{printable(module, 100)}: {list(factor.shape)} are not pairs of rows of {heads} heads: it was made for another base")
    return heads


def _modules(base: Base) -> list[str]:
    return sorted({name.removesuffix(".weight") for shard in base.shards for name in shard.tensors if name.endswith(".weight")})


def _dotted(base: Base) -> Places:
    """Places of kohya's and diffusers' names: the base's modules by name, and by name with underscores."""
    known: dict[str, list[str]] = {}
    for module in _modules(base):
        known.setdefault(module, []).append(module)
        known.setdefault(module.replace(".", "_"), []).append(module)

    def places(given: str) -> list[str]:
        tried = (given, given.partition(".")[2], KOHYA.sub("", given))
        return next((sorted(set(known[t])) for t in tried if t in known), [])

    return places


def _gguf(adapter: Adapter, base: Base) -> Places:
    """Places of llama.cpp's names."""
    try:
        import gguf
    except ImportError:
        raise UnusableBase("a GGUF adapter on a base needs the package gguf: pip install gguf") from None
    kind = str(adapter.weights.metadata.get("general.architecture", ""))
    if kind not in PERMUTED | PLAIN:
        raise UnusableBase(f"a GGUF adapter of the architecture {printable(kind, 40)!r}, whose layout is not understood; convert it to PEFT")
    layers = base.config.get("num_hidden_layers")
    table = gguf.get_tensor_name_map({v: k for k, v in gguf.MODEL_ARCH_NAMES.items()}[kind], layers if type(layers) is int and 0 < layers < 10_000 else 0)
    known: dict[str, list[str]] = {}
    for module in _modules(base):
        if not module.endswith(("embed_tokens", "norm")) and (name := table.get_name(module)) is not None:
            known.setdefault(name, []).append(module)
    return lambda given: known.get(given, [])


def _heads(adapter: Adapter, base: Base, module: str) -> int | None:
    """The number of heads whose rows llama.cpp keeps in another order; None for other modules."""
    if adapter.dialect is not Dialect.GGUF or adapter.weights.metadata.get("general.architecture") not in PERMUTED:
        return None
    kind = module.rsplit(".", 1)[-1]
    if kind not in ("q_proj", "k_proj"):
        return None
    heads = base.config.get("num_attention_heads")
    count = base.config.get("num_key_value_heads") or heads if kind == "k_proj" else heads
    if type(count) is not int:
        raise UnusableBase(f"base {printable(base.name)}: config.json says no number of attention heads")
    return count
