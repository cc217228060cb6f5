"""adapter_config.json, read by our own allow-list. No field of it ever reaches PEFT."""

from __future__ import annotations

import math
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from scanner.errors import UnreadableAdapter
from scanner.files.inventory import inside
from scanner.files.pattern import Pattern, Unjudged, matcher
from scanner.files.strict_json import BadJson, load_object
from scanner.files.text import printable

NAME = "adapter_config.json"
LARGEST = 1024 * 1024
LARGEST_NUMBER = 1e15
MOST_PATTERNS = 4096


class AdapterConfig(msgspec.Struct, frozen=True):
    """The fields of a LoRA configuration that decide what the adapter does (PEFT 0.21 names)."""

    peft_type: str = "LORA"
    task_type: str | None = None
    base_model_name_or_path: str | None = None
    revision: str | None = None
    r: int = 8
    lora_alpha: float = 8
    use_rslora: bool = False
    use_dora: bool = False
    fan_in_fan_out: bool = False
    bias: str = "none"
    lora_bias: bool = False
    rank_pattern: dict[str, int] | None = None
    alpha_pattern: dict[str, float] | None = None
    target_modules: str | list[str] | None = None
    modules_to_save: list[str] | None = None

    def rank(self, module: str) -> int:
        """The rank that the configuration gives `module`. Raises ValueError for a pattern that cannot be judged."""
        return int(_pattern(self.rank_pattern, module, self.r))

    def scaling(self, module: str) -> float:
        r"""What PEFT multiplies B @ A by for `module`: alpha / r, or alpha / sqrt(r) for rsLoRA.

        Patterns match as PEFT matches them, `(.*\.)?(key)$` from the start of the module's name (scanner/files/pattern.py).
        Raises ValueError for a pattern that cannot be judged, or a rank below 1.
        """
        rank = self.rank(module)
        alpha = _pattern(self.alpha_pattern, module, self.lora_alpha)
        if not 1 <= rank < LARGEST_NUMBER or abs(alpha) >= LARGEST_NUMBER:
            raise ValueError(f"rank {printable(rank, 20)} and alpha {printable(alpha, 20)} for {printable(module, 80)}")
        return alpha / (math.sqrt(rank) if self.use_rslora else rank)


def _pattern(patterns: dict[str, Any] | None, module: str, otherwise: float) -> float:
    for key, value in (patterns or {}).items():
        if _keyed(key).match(module):
            return value  # type: ignore[no-any-return]
    return otherwise


@lru_cache(maxsize=2 * MOST_PATTERNS)
def _keyed(key: str) -> Pattern:
    try:
        return matcher(rf"(.*\.)?({key})$")
    except Unjudged as error:
        raise ValueError(f"the pattern {printable(key, 80)!r} {error}") from None


class ConfigFile(msgspec.Struct, frozen=True):
    """The typed fields, everything as it was written, and the keys that were written twice."""

    config: AdapterConfig
    raw: dict[str, Any]
    twice: tuple[str, ...] = ()
    written: bool = True
    """Whether there is such a file; where there is none, `raw` says in PEFT's words what the weights file itself says."""


def exists(folder: Path) -> bool:
    """Whether `folder` has a configuration, readable or not."""
    return os.path.lexists(folder / NAME)


def read(folder: Path) -> ConfigFile:
    """Read `adapter_config.json` of `folder`. Raises UnreadableAdapter when it is missing, not JSON, or ill-typed."""
    path = folder / NAME
    if path.exists() and not inside(path, folder):
        raise UnreadableAdapter(f"{NAME}: a link out of the folder or not a regular file, which is not read")
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError:
        raise UnreadableAdapter(f"{printable(folder)}: no readable {NAME}, so this is not a PEFT adapter folder") from None
    try:
        raw, twice = load_object(data, LARGEST)
    except BadJson as error:
        raise UnreadableAdapter(f"{NAME}: {error}") from None
    return ConfigFile(typed(raw), raw, twice)


def typed(raw: dict[str, Any]) -> AdapterConfig:
    """The fields of `raw` that decide what an adapter does. Raises UnreadableAdapter when one has the wrong type."""
    if not isinstance(raw.get("peft_type"), str):
        raise UnreadableAdapter(f"{NAME}: no peft_type, so this is not a PEFT adapter")
    try:
        fields = _COMMON if raw["peft_type"] != "LORA" else AdapterConfig.__struct_fields__
        config = msgspec.convert({k: v for k, v in raw.items() if k in fields and (v is not None or k in _OPTIONAL)}, AdapterConfig)
    except msgspec.ValidationError as error:
        raise UnreadableAdapter(f"{NAME}: {printable(error)}") from None
    if max(len(config.rank_pattern or ()), len(config.alpha_pattern or ())) > MOST_PATTERNS:
        raise UnreadableAdapter(f"{NAME}: more than {MOST_PATTERNS:,} patterns")
    return config


_COMMON = {"peft_type", "task_type", "base_model_name_or_path", "revision", "modules_to_save"}
"""What every method's configuration holds; the other fields mean something else to each method."""
_OPTIONAL = {"task_type", "base_model_name_or_path", "revision", "rank_pattern", "alpha_pattern", "target_modules", "modules_to_save"}
