from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from probes.config import ConfigProbe
from tests.adapters import CONFIG, adapter, base, ids, raised

CASES: list[tuple[str, dict[str, Any]]] = [
    ("config-imports", {"auto_mapping": {"base_model_class": "X", "parent_library": "os"}}),
    ("config-imports", {"megatron_core": "os"}),
    ("config-imports", {"megatron_config": {"a": 1}}),
    ("config-changes-base", {"init_lora_weights": "pissa"}),
    ("config-changes-base", {"init_lora_weights": "pissa_niter_16"}),
    ("config-changes-base", {"init_lora_weights": "OLoRA"}),
    ("config-changes-base", {"init_lora_weights": "corda"}),
    ("config-changes-base", {"init_lora_weights": "loftq"}),
    ("config-changes-base", {"layer_replication": [[0, 4], [2, 5]]}),
    ("config-remote", {"arrow_config": {"x": 1}}),
    ("config-pattern", {"target_modules": "(a+)+b"}),
    ("config-pattern", {"target_modules": "((a+))+b"}),
    ("config-pattern", {"exclude_modules": r"(\w+\.?)*x"}),
    ("config-pattern", {"target_modules": "(ab|a(b)?)*c"}),
    ("config-pattern", {"target_modules": "(?:(?:a{2,})x?){3,}"}),
    ("config-pattern", {"rank_pattern": {"(x*)*": 2}}),
    ("config-pattern", {"target_modules": "a" * 3000}),
    ("config-scaling", {"lora_alpha": 1000}),
    ("config-scaling", {"lora_alpha": -4}),
    ("config-scaling", {"lora_alpha": 0}),
    ("config-scaling", {"alpha_pattern": {"layers.1.self_attn.q_proj": 1000}}),
    ("config-conditional", {"alora_invocation_tokens": [1, 2]}),
    ("config-conditional", {"trainable_token_indices": [7]}),
    ("config-unknown", {"surprise": 1}),
    ("base-undeclared", {"base_model_name_or_path": None}),
    ("base-undeclared", {"base_model_name_or_path": "/home/me/model"}),
    ("base-undeclared", {"base_model_name_or_path": "C:\\models\\x"}),
]


@pytest.mark.parametrize(("rule", "config"), CASES, ids=str)
def test_a_field_with_a_meaning_for_safety_is_told(rule: str, config: dict[str, Any], tmp_path: Path) -> None:
    (found,) = raised(ConfigProbe(), adapter(tmp_path / "a", **config))
    assert found.rule == rule
    assert found.location.file == "adapter_config.json"
    assert found.message.isprintable()


def test_a_key_written_twice_is_told(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG)[:-1] + ', "r": 2}')
    assert ids(raised(ConfigProbe(), folder)) == {"config-ambiguous"}


def test_another_base_is_told_and_the_declared_one_is_not(tmp_path: Path) -> None:
    against = base(tmp_path / "base")
    assert ids(raised(ConfigProbe(), adapter(tmp_path / "a", base_model_name_or_path="org/other"), against)) == {"base-differs"}
    assert raised(ConfigProbe(), adapter(tmp_path / "b", base_model_name_or_path="someone/Tiny"), against) == []


ORDINARY = [
    {},
    {"lora_alpha": 128},
    {"target_modules": "all-linear"},
    {"target_modules": r".*\.(q|k|v|o)_proj"},
    {
        "target_modules": r"(?:.*?(?:language|text).*?(?:self_attn|mlp).*?(?:q_proj|up_proj).*?)|(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|mlp)\.(?:(?:q_proj|k_proj)))"
    },
    {"target_modules": r"model\.layers\.([0-9]|1[0-9])\.mlp\.(gate|up|down)_proj"},
    {"target_modules": "[*+-z"},
    {"init_lora_weights": "gaussian", "megatron_core": "megatron.core", "auto_mapping": None},
]


@pytest.mark.parametrize("config", ORDINARY, ids=str)
def test_ordinary_configurations_are_nothing(config: dict[str, Any], tmp_path: Path) -> None:
    assert raised(ConfigProbe(), adapter(tmp_path / "a", **config)) == []


@pytest.mark.parametrize("pattern", ["(" * 999, "(" * 900 + ")" * 900, "[" * 2000, "a{1,2}" * 300, "(a|" * 600 + ")" * 600], ids=lambda p: p[:6])
def test_a_hostile_pattern_is_judged_in_time(pattern: str, tmp_path: Path) -> None:
    started = time.monotonic()
    raised(ConfigProbe(), adapter(tmp_path / "a", target_modules=pattern))
    assert time.monotonic() - started < 5
