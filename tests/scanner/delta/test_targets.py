from __future__ import annotations

import re
import time
from typing import Any

import pytest
from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists

from scanner.delta.targets import Targets

MODULES = [
    "q_proj", "model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj", "model.layers.10.self_attn.k_proj", "model.layers.1.mlp.down_proj",
    "lm_head", "model.embed_tokens", "encoder.block.0.layer.0.SelfAttention.q", "decoder.block.1.layer.1.EncDecAttention.v", "xq_proj", "score.dense",
]  # fmt: skip
CONFIGS: list[dict[str, Any]] = [
    {"target_modules": ["q_proj"]},
    {"target_modules": ["q_proj", "self_attn.k_proj", "lm_head"]},
    {"target_modules": ["layers.1.self_attn.q_proj"]},
    {"target_modules": r".*decoder.*(SelfAttention|EncDecAttention).*(q|v)$"},
    {"target_modules": r"model\.layers\.\d+\.self_attn\.(q|k)_proj"},
    {"target_modules": "q_proj"},
    {"target_modules": ["q_proj", "k_proj"], "exclude_modules": ["layers.0.self_attn.q_proj"]},
    {"target_modules": ["q_proj", "k_proj"], "exclude_modules": r".*layers\.1.*"},
    {"target_modules": ["q_proj", "k_proj"], "layers_to_transform": [0, 10]},
    {"target_modules": ["q_proj", "k_proj"], "layers_to_transform": 1, "layers_pattern": "layers"},
    {"target_modules": ["q_proj"], "layers_to_transform": [1], "layers_pattern": ["block", "layers"]},
    {"target_modules": ["q_proj", "score", "dense"], "modules_to_save": ["score", "layers.0"]},
    {"target_modules": r".*(q_proj|v_proj)|.{,99}down_proj"},
    {"target_modules": ["q_proj", "k_proj"], "layers_to_transform": [1], "layers_pattern": "(lay)(ers)"},
    {"target_modules": ["q_proj", "k_proj"], "layers_to_transform": [1], "layers_pattern": ""},
    {"target_modules": "(?i).*Q_PROJ"},
    {"target_modules": "q_proj", "exclude_modules": r".{,3}q_proj"},
]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_module_is_covered_when_peft_says_so(config: dict[str, Any]) -> None:
    ours, theirs = Targets(config), LoraConfig(**config)
    for module in MODULES:
        found = check_target_module_exists(theirs, module)
        assert ours.covers(module) is bool(isinstance(found, bool | re.Match) and found), module


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"target_modules": None},
        {"target_modules": "all-linear"},
        {"target_modules": "All-Linear"},
        {"target_modules": "(?=q)q_proj"},
        {"target_modules": r".*(q|v)_proj|.*[[:alpha:]]own_proj"},
        {"target_modules": "a)|(?:b"},
        {"target_modules": {}},
    ],
    ids=str,
)
def test_what_depends_on_the_model_or_cannot_be_matched_is_unknown(config: dict[str, Any]) -> None:
    assert Targets(config).covers("model.q_proj") is None


def test_saved_modules_are_found_as_peft_finds_them() -> None:
    targets = Targets({"modules_to_save": ["head", "layers.1"]})
    assert [targets.saves(m) for m in ("lm_head", "head.dense", "model.layers.1.mlp", "model.layers.11.mlp", "header", "model.norm")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


HOSTILE: list[dict[str, Any]] = [
    {"target_modules": [f"m{i}" for i in range(80_000)]},
    {"exclude_modules": [f"m{i}" for i in range(80_000)], "target_modules": ["q"]},
    {"modules_to_save": [f"(a*)*{i}" for i in range(80_000)], "target_modules": ["q"]},
    {"target_modules": ["q"], "layers_to_transform": list(range(50_000))},
    {"target_modules": "(a*)*" * 190, "modules_to_save": ["(a*)*b"] * 200},
]


@pytest.mark.parametrize("config", HOSTILE, ids=range(len(HOSTILE)))
def test_long_lists_and_long_names_are_matched_in_time(config: dict[str, Any]) -> None:
    targets = Targets(config)
    started = time.process_time()
    for i in range(600):
        name = ".".join(["a" * 8] * 110) + f".{i}.q"
        targets.covers(name)
        targets.saves(name)
    assert time.process_time() - started < 10
