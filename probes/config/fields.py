"""Known fields of every PEFT method, their types, and the sizes among them."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from probes.config.claim import Claim, Claims
from probes.config.rules import SIZE, TYPES, UNKNOWN
from scanner.files.text import printable

LEGACY = frozenset(["enable_lora", "merge_weights", "_custom_head", "auto_map", "custom_pipelines", "trust_remote_code"])
"""Written by PEFT before 0.4, or judged by a rule of its own."""
SIZES = {
    "r": 4096, "init_r": 4096, "target_r": 4096, "hybrid_r": 4096, "mini_r": 4096, "subspace_rank": 4096, "num_subspaces": 4096, "num_virtual_tokens": 1_000_000,
    "token_dim": 1_000_000, "num_layers": 10_000, "num_attention_heads": 100_000, "encoder_hidden_size": 1_000_000, "encoder_num_layers": 1000, "adapter_len": 1_000_000,
    "adapter_layers": 10_000, "xlora_size": 1_000_000, "xlora_depth": 1000, "n_frequency": 100_000_000, "num_vectors": 1_000_000, "vector_length": 1_000_000,
    "theta_d_length": 100_000_000, "num_ranks": 10_000, "num_tasks": 10_000, "num_transformer_submodules": 100, "shadow_hidden_size": 1_000_000,
    "shadow_intermediate_size": 10_000_000, "shadow_num_hidden_layers": 1000, "shadow_num_attention_heads": 100_000, "update_hidden_size": 1_000_000, "n_skills": 10_000,
    "n_splits": 100_000, "n_tasks": 10_000, "num_B": 10_000, "num_frozen_tokens": 1_000_000, "select_top": 100_000_000, "u": 100_000, "effective_rank": 100_000, "depth": 1000,
}  # fmt: skip
"""Fields that PEFT makes room for, and the largest value that is not an alarm."""


@cache
def known() -> dict[str, dict[str, frozenset[str]]]:
    """JSON types by field by peft_type, as PEFT 0.21 declares them; made by `python -m tests.peft_fields`."""
    written = json.loads((files("probes.config") / "fields.json").read_text())
    return {kind: {f: frozenset(t) for f, t in fields.items()} for kind, fields in written["fields"].items()}


def fields(raw: dict[str, Any]) -> Claims:
    """Fields outside the method's class, of another type than it declares, or of an absurd size."""
    declared = known().get(str(raw.get("peft_type")))
    if declared is not None:
        unknown = sorted(set(raw) - set(declared) - LEGACY)
        if unknown:
            yield Claim(UNKNOWN, unknown[0], ", ".join(printable(f, 60) for f in unknown[:12]))
        wrong = sorted(f for f, value in raw.items() if f in declared and not _fits(value, declared[f]))
        if wrong:
            said = (f"{printable(f, 60)} is {_type(raw[f])}, not {' or '.join(sorted(declared[f]))}" for f in wrong[:6])
            yield Claim(TYPES, wrong[0], ", ".join(said))
    for field, largest in SIZES.items():
        if isinstance(raw.get(field), int) and raw[field] > largest:
            yield Claim(SIZE, field, f"{field} is {printable(f'{raw[field]:,}' if raw[field] < 10**30 else 'a number of over 30 digits')}")
    for field in ("rank_pattern", "n_frequency_pattern", "block_size_pattern"):
        large = (
            [v for v in raw[field].values() if isinstance(v, int) and v > SIZES["r" if field == "rank_pattern" else "n_frequency"]]
            if isinstance(raw.get(field), dict)
            else []
        )
        if large:
            yield Claim(SIZE, field, f"{field} has {printable(str(max(large))[:40])} in it")


def _type(value: Any) -> str:
    for kind, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array"), (dict, "object")):
        if isinstance(value, kind):
            return name
    return "null"


def _fits(value: Any, types: frozenset[str]) -> bool:
    """Whether PEFT could have written it: null stands for the default everywhere, and old versions wrote fractions for integers."""
    return value is None or "any" in types or _type(value) in types or (_type(value) == "number" and "integer" in types)
