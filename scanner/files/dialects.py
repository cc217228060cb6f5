"""Adapters that were not saved by PEFT, read as if they had been: the same factors and scalings under PEFT's names.

- kohya and LyCORIS: `lora_unet_….lora_down.weight`, `….lora_up.weight`, `….alpha` (https://github.com/kohya-ss/sd-scripts);
- diffusers: `unet.….lora.down.weight`, `….processor.to_q_lora.up.weight`, `transformer.….lora_A.weight`;
- GGUF: `blk.0.attn_q.weight.lora_a`, `adapter.lora.alpha` (llama.cpp's convert_lora_to_gguf.py).

All of them scale by alpha / rank, as PEFT does, and by 1 where no alpha is written. Tensors that fit no pattern keep their names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import msgspec
import numpy as np

from scanner.errors import UnreadableAdapter
from scanner.files.gguf_file import GgufFile
from scanner.files.strict_json import BadJson, load_object
from scanner.files.text import printable
from scanner.files.weights import Flaw, Floats, Integers, Tensor, Weights

PREFIX = "base_model.model."
INVOCATION = "adapter.alora.invocation_tokens"
LARGEST_METADATA = 1024 * 1024


class Dialect(StrEnum):
    """Whose names and scalings a weights file uses."""

    PEFT = "PEFT"
    DIFFUSERS = "diffusers or kohya"
    GGUF = "GGUF"


_SUFFIXES = {
    ".lora_down.weight": "lora_A.weight", ".lora_up.weight": "lora_B.weight", ".lora.down.weight": "lora_A.weight", ".lora.up.weight": "lora_B.weight",
    "_lora.down.weight": "lora_A.weight", "_lora.up.weight": "lora_B.weight", ".lora_linear_layer.down.weight": "lora_A.weight",
    ".lora_linear_layer.up.weight": "lora_B.weight", ".lora_A.weight": "lora_A.weight", ".lora_B.weight": "lora_B.weight",
    ".weight.lora_a": "lora_A.weight", ".weight.lora_b": "lora_B.weight",
    **{f".{part}": part for part in ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2")},
    **{f".{part}": part for part in ("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2")},
}  # fmt: skip
_SUFFIX = re.compile(f"(?:{'|'.join(re.escape(s) for s in sorted(_SUFFIXES, key=len, reverse=True))})$")
_RANK = {"lora_A.weight": 0, "hada_w1_b": 0, "lokr_w2_b": 0, "lokr_w1_b": 0}
"""Where the rank stands in the shape of a factor."""
_METHODS = {"lora": "LORA", "hada": "LOHA", "lokr": "LOKR"}


class Translated:
    """Weights under other names than the file's."""

    def __init__(self, weights: Weights, names: dict[str, str]) -> None:
        """`names` gives the name in the file for every name here."""
        self._weights, self.names = weights, names
        self.tensors: dict[str, Tensor] = {n: msgspec.structs.replace(weights.tensors[names[n]], name=n) for n in sorted(names)}

    @property
    def metadata(self) -> dict[str, str]:
        """What the file says about itself."""
        return self._weights.metadata

    @property
    def flaws(self) -> tuple[Flaw, ...]:
        """What its format forbids and loaders accept."""
        return self._weights.flaws

    def read(self, name: str) -> Floats:
        """The tensor as float32. Raises UnreadableAdapter for a dtype that is not a float."""
        return self._weights.read(self.names[name])

    def integers(self, name: str) -> Integers:
        """The tensor as int64. Raises UnreadableAdapter for a dtype that is not an integer."""
        return self._weights.integers(self.names[name])

    def pieces(self, name: str) -> Iterator[bytes]:
        """The tensor's bytes as stored, at most 16 MiB at a time."""
        return self._weights.pieces(self.names[name])


def translate(weights: Weights, where: str) -> tuple[Translated, dict[str, Any], Dialect]:
    """Weights without a configuration as PEFT's: renamed, with the equivalent configuration, and the dialect they were in.

    Raises UnreadableAdapter, naming `where`, when the names are nobody's, or PEFT's own, whose scaling nobody knows without a configuration.
    """
    if isinstance(weights, GgufFile) and (weights.fields.get("general.type"), weights.fields.get("adapter.type")) != ("adapter", "lora"):
        kind = printable(weights.fields.get("general.type", "model"), 40)
        raise UnreadableAdapter(f"{where}: a GGUF {kind}, and not a GGUF LoRA adapter")
    names: dict[str, str] = {}
    ranks: dict[str, int] = {}
    alphas: dict[str, float] = {}
    for name, tensor in weights.tensors.items():
        suffix = _SUFFIX.search(name)
        if name.startswith(PREFIX) and suffix:
            raise UnreadableAdapter(f"{where}: the factors of a PEFT adapter without its adapter_config.json, so their scaling is not known")
        if name.endswith(".alpha") and tensor.count == 1:
            alphas[name.removesuffix(".alpha").removesuffix(".processor")] = _number(weights, name, where)
            continue
        if suffix is None:
            names[name] = name
            continue
        module, part = name[: suffix.start()].replace(".processor.", "."), _SUFFIXES[suffix[0]]
        peft = f"{PREFIX}{module}.{part}"
        if peft in names:
            raise UnreadableAdapter(f"{where}: '{printable(name, 80)}' and '{printable(names[peft], 80)}' are the same factor of one module")
        names[peft] = name
        if part in _RANK and tensor.shape:
            ranks[module] = tensor.shape[_RANK[part]]
    methods = {_METHODS[n.rsplit(".", 2 if n.endswith(".weight") else 1)[1][:4]] for n in names if n.startswith(PREFIX)}
    if not ranks:
        raise UnreadableAdapter(f"{where}: no {printable('adapter_config.json')}, and its tensors are named neither as diffusers', kohya's nor llama.cpp's")
    if len(methods) > 1:
        raise UnreadableAdapter(f"{where}: factors of {' and '.join(sorted(methods))} in one file, which is not understood")
    alpha = _declared(weights, where)
    scaled = {m: (r, alphas.get(m, alpha if alpha is not None else r)) for m, r in ranks.items()}
    dialect = Dialect.GGUF if isinstance(weights, GgufFile) else Dialect.DIFFUSERS
    raw = _equivalent(min(methods), scaled)
    if isinstance(weights, GgufFile) and (tokens := weights.fields.get(INVOCATION)):
        raw["alora_invocation_tokens"] = tokens
    return Translated(weights, names), raw, dialect


def _number(weights: Weights, name: str, where: str) -> float:
    value = float(weights.read(name).reshape(-1)[0])
    if not np.isfinite(value):
        raise UnreadableAdapter(f"{where}: '{printable(name, 80)}' is {value}, which no scaling can be")
    return value


def _declared(weights: Weights, where: str) -> float | None:
    """The alpha of all modules: GGUF's field, or the one in the metadata that diffusers writes."""
    if isinstance(weights, GgufFile):
        value = weights.fields.get("adapter.lora.alpha")
        if isinstance(value, int | float) and not np.isfinite(value):
            raise UnreadableAdapter(f"{where}: adapter.lora.alpha is {value}, which no scaling can be")
        return float(value) if isinstance(value, int | float) and value else None
    try:
        written, _ = load_object(weights.metadata.get("lora_adapter_metadata", "{}").encode(), LARGEST_METADATA)
    except (BadJson, UnicodeError):
        return None
    found = {v for k, v in written.items() if k.endswith("lora_alpha") and isinstance(v, int | float)}
    return float(found.pop()) if len(found) == 1 else None


def _equivalent(method: str, scaled: dict[str, tuple[int, float]]) -> dict[str, Any]:
    """PEFT's configuration for modules of the given ranks and alphas: the commonest as default, the others as patterns."""
    (rank, alpha), _ = Counter(scaled.values()).most_common(1)[0]
    return {
        "peft_type": method,
        "r": rank,
        ("lora_alpha" if method == "LORA" else "alpha"): alpha,
        "target_modules": sorted(scaled),
        "rank_pattern": {f"^{re.escape(m)}": r for m, (r, _) in scaled.items() if r != rank},
        "alpha_pattern": {f"^{re.escape(m)}": a for m, (_, a) in scaled.items() if a != alpha},
    }
