from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from probes.config.fields import SIZES, known
from probes.config.patterns import can_hang
from probes.config.probe import ConfigProbe
from scanner.verdict import Outcome
from tests.adapters import CONFIG, adapter, base, ids, raised
from tests.peft_fields import table

CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("config-imports", "high", {"auto_mapping": {"base_model_class": "X", "parent_library": "os"}}),
    ("config-imports", "high", {"auto_mapping": {"base_model_class": "X", "parent_library": "subprocess.x"}}),
    ("config-imports", "high", {"auto_mapping": {"base_model_class": "X", "parent_library": "transformers", "more": 1}}),
    ("config-imports", "medium", {"auto_mapping": {"base_model_class": "X", "parent_library": "my_model"}}),
    ("config-imports", "high", {"megatron_core": "os"}),
    ("config-imports", "medium", {"megatron_core": "megatron.other"}),
    ("config-imports", "medium", {"megatron_config": {"a": 1}}),
    ("config-imports", "medium", {"auto_map": {"AutoModel": "x.Y"}}),
    ("config-changes-base", "high", {"init_lora_weights": "pissa"}),
    ("config-changes-base", "high", {"init_lora_weights": "pissa_niter_16"}),
    ("config-changes-base", "high", {"init_lora_weights": "OLoRA"}),
    ("config-changes-base", "high", {"init_lora_weights": "corda"}),
    ("config-changes-base", "high", {"init_lora_weights": "loftq"}),
    ("config-changes-base", "high", {"layer_replication": [[0, 4], [2, 5]]}),
    ("config-changes-base", "high", {"kasa_config": {"beta": 1e-4}}),
    ("config-remote", "medium", {"arrow_config": {"task_adapter_names": ["x"]}}),
    ("config-remote", "medium", {"corda_config": {"covariance_file": "/etc/passwd"}}),
    ("config-pattern", "high", {"target_modules": "(a+)+b"}),
    ("config-pattern", "high", {"exclude_modules": r"(\w+\.?)*x"}),
    ("config-pattern", "high", {"layers_pattern": "(a|a)*b", "layers_to_transform": [0, 1]}),
    ("config-pattern", "high", {"rank_pattern": {"(x*)*": 2}}),
    ("config-pattern", "high", {"alpha_pattern": {"(x*)*y": 4}}),
    ("config-pattern", "high", {"modules_to_save": ["(x*)*y"]}),
    ("config-pattern", "high", {"target_parameters": ["(x*)*y"]}),
    ("config-pattern", "high", {"use_bdlora": {"target_modules_bd_a": ["(x*)*y"]}}),
    ("config-pattern", "high", {"target_modules": "a" * 30_000}),
    ("config-pattern-broken", "medium", {"target_modules": "(q_proj"}),
    ("config-pattern-broken", "medium", {"target_modules": "[*+-z"}),
    ("config-pattern-broken", "medium", {"target_modules": r"(.*)_\1|.*q_proj"}),
    ("config-pattern-broken", "medium", {"target_modules": r".*(q|v)_proj|.*[[:alpha:]]own_proj"}),
    ("config-pattern-broken", "medium", {"target_modules": r"(?>.*)_proj|.*q_proj"}),
    ("config-pattern-broken", "medium", {"exclude_modules": r"x++y"}),
    ("config-pattern-broken", "medium", {"rank_pattern": {"(?i)q": 4}}),
    ("config-pattern-broken", "medium", {"modules_to_save": ["(x"]}),
    ("config-pattern", "high", {"target_modules": ".?" * 40 + "!|.*_proj"}),
    ("config-pattern", "high", {"exclude_modules": ".?" * 40 + "!"}),
    ("config-pattern", "high", {"alpha_pattern": {".?" * 40 + "!": 4}}),
    ("config-imports", "medium", {"trust_remote_code": True}),
    ("base-revision", "low", {"revision": "refs/pr/7"}),
    ("base-revision", "medium", {"revision": "../../main"}),
    ("config-size", "high", {"r": 1_000_000, "rank_pattern": {"q_proj": 2}}),
    ("config-scaling", "medium", {"lora_alpha": 1000}),
    ("config-scaling", "medium", {"lora_alpha": -4}),
    ("config-scaling", "medium", {"lora_alpha": 0}),
    ("config-scaling", "medium", {"alpha_pattern": {"layers.1.self_attn.q_proj": 1000}}),
    ("config-scaling", "medium", {"alpha_pattern": {r"layers\.[1-3]\..*": 1000}}),
    ("config-scaling", "medium", {"alpha_pattern": {".{,99}_proj": 8000}}),
    ("config-conditional", "medium", {"alora_invocation_tokens": [1, 2]}),
    ("config-conditional", "medium", {"trainable_token_indices": [7]}),
    ("config-tensors", "medium", {"r": 4}),
    ("config-tensors", "medium", {"rank_pattern": {r".*\.1\..*": 8}}),
    ("config-tensors", "low", {"target_modules": ["q_proj", "v_proj"]}),
    ("config-tensors", "low", {"layers_to_transform": [0, 1, 5]}),
    ("config-type", "low", {"inference_mode": "yes"}),
    ("config-type", "low", {"layer_replication": {}}),
    ("config-type", "low", {"loftq_config": []}),
    ("config-unknown", "low", {"surprise": 1}),
    ("base-undeclared", "low", {"base_model_name_or_path": None}),
    ("base-undeclared", "low", {"base_model_name_or_path": "/home/me/model"}),
    ("base-undeclared", "low", {"base_model_name_or_path": "../model"}),
    ("base-undeclared", "low", {"base_model_name_or_path": "C:\\models\\x"}),
    ("base-path", "medium", {"base_model_name_or_path": "../../../etc/passwd"}),
    ("base-path", "medium", {"base_model_name_or_path": "models/../../../x"}),
    ("base-path", "medium", {"base_model_name_or_path": "/proc/self/environ"}),
    ("base-path", "medium", {"base_model_name_or_path": "~/.ssh/id_rsa"}),
    ("base-path", "medium", {"base_model_name_or_path": "\\\\evil.example\\share"}),
    ("base-path", "medium", {"base_model_name_or_path": "https://evil.example/model"}),
]


@pytest.mark.parametrize(("rule", "severity", "config"), CASES, ids=str)
def test_a_field_with_a_meaning_for_safety_is_told(rule: str, severity: str, config: dict[str, Any], tmp_path: Path) -> None:
    found = [f for f in raised(ConfigProbe(), adapter(tmp_path / "a", **config)) if f.rule == rule]
    assert [f.severity for f in found] == [severity]
    assert {f.location.file for f in found} == {"adapter_config.json"}
    assert all(f.message.isprintable() for f in found)


OTHER_METHODS: list[tuple[str, dict[str, Any]]] = [
    ("config-remote", {"peft_type": "XLORA", "adapters": {"a": "org/other"}}),
    ("config-remote", {"peft_type": "SHADOW", "shadow_model": "org/other"}),
    ("config-remote", {"peft_type": "MULTITASK_PROMPT_TUNING", "prompt_tuning_init_state_dict_path": "/etc/hostname"}),
    ("config-remote", {"peft_type": "PROMPT_TUNING", "tokenizer_name_or_path": "org/other"}),
    ("config-remote", {"peft_type": "PROMPT_TUNING", "tokenizer_kwargs": {"trust_remote_code": True}}),
    ("config-size", {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 10**9}),
    ("config-size", {"peft_type": "P_TUNING", "encoder_hidden_size": 10**30}),
    ("config-size", {"peft_type": "LOHA", "r": 8, "rank_pattern": {"q": 10**7}}),
    ("config-conditional", {"peft_type": "TRAINABLE_TOKENS", "token_indices": [5]}),
    ("config-pattern", {"peft_type": "IA3", "feedforward_modules": "(a+)+b"}),
    ("config-pattern", {"peft_type": "FOURIERFT", "n_frequency_pattern": {"(a+)+b": 1}}),
    ("config-unknown", {"peft_type": "IA3", "lora_alpha": 8}),
    ("config-type", {"peft_type": "IA3", "init_ia3_weights": "yes"}),
]


@pytest.mark.parametrize(("rule", "config"), OTHER_METHODS, ids=str)
def test_other_methods_are_held_to_the_same(rule: str, config: dict[str, Any], tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "org/tiny"} | config))
    assert ids(raised(ConfigProbe(), folder)) == {rule}


@pytest.mark.parametrize("more", [{"alpha": 10**6}, {"alpha": 4, "alpha_pattern": {".{,99}q_proj": 10**6}}], ids=str)
@pytest.mark.parametrize("kind", ["LOHA", "LOKR"])
def test_the_scaling_of_other_methods_is_told(kind: str, more: dict[str, Any], tmp_path: Path) -> None:
    import numpy as np

    side, name = np.full((4, 4), 0.01, np.float32), "base_model.model.model.layers.0.self_attn.q_proj"
    parts = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b") if kind == "LOHA" else ("lokr_w1", "lokr_w2")
    folder = adapter(tmp_path / "a", {f"{name}.{p}": side for p in parts})
    written = {"peft_type": kind, "r": 4, "base_model_name_or_path": "org/tiny", "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(written | more))
    assert ids(raised(ConfigProbe(), folder)) == {"config-scaling"}
    (folder / "adapter_config.json").write_text(json.dumps(written | {"alpha": 16}))
    assert raised(ConfigProbe(), folder) == []


def test_the_known_fields_are_those_of_the_installed_peft() -> None:
    """The table is made by `python -m tests.peft_fields > probes/config/fields.json`."""
    assert {kind: {f: sorted(t) for f, t in fields.items()} for kind, fields in known().items()} == table()


def test_every_method_of_peft_is_known() -> None:
    import ast
    from importlib.util import find_spec

    spec = find_spec("peft")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    text = (Path(spec.submodule_search_locations[0]) / "utils" / "peft_types.py").read_text()
    (enum,) = [n for n in ast.parse(text).body if isinstance(n, ast.ClassDef) and n.name == "PeftType"]
    assert {n.targets[0].id for n in enum.body if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name)} == set(known())


def test_every_size_is_a_field_of_some_method() -> None:
    assert set(SIZES) <= {f for fields in known().values() for f in fields} | {"vector_length"}


def test_a_key_written_twice_is_told(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG)[:-1] + ', "r": 2}')
    assert ids(raised(ConfigProbe(), folder)) == {"config-ambiguous"}


def test_another_base_is_told_and_the_declared_one_is_not(tmp_path: Path) -> None:
    against = base(tmp_path / "base")
    assert ids(raised(ConfigProbe(), adapter(tmp_path / "a", base_model_name_or_path="org/other"), against)) == {"base-differs"}
    assert raised(ConfigProbe(), adapter(tmp_path / "b", base_model_name_or_path="someone/Tiny"), against) == []


def test_another_revision_of_the_base_is_told(tmp_path: Path) -> None:
    against = base(tmp_path / "models--org--tiny" / "snapshots" / ("a1b2c3d" + "0" * 33))
    assert ids(raised(ConfigProbe(), adapter(tmp_path / "a", revision="f" * 40), against)) == {"base-differs"}
    for number, revision in enumerate(("a1b2c3d", "main", None)):
        assert raised(ConfigProbe(), adapter(tmp_path / str(number), revision=revision), against) == []


ORDINARY: list[dict[str, Any]] = [
    {},
    {"lora_alpha": 128},
    {"target_modules": "all-linear"},
    {"target_modules": r".*\.(q|k|v|o)_proj"},
    {
        "target_modules": r"(?:.*?(?:language|text).*?(?:self_attn|mlp).*?(?:q_proj|up_proj).*?)|(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|mlp)\.(?:(?:q_proj|k_proj)))"
    },
    {"target_modules": r"model\.layers\.([0-9]|1[0-9])\.(?:self_attn|mlp)\.(q|gate|up|down)_proj"},
    {"target_modules": r"(\w+\.)*q_proj"},
    {"target_modules": r"^(?!.*visual).*(?:q_proj|v_proj).*$"},
    {"target_modules": r"(?:layers\.\d+\.)+self_attn\.q_proj|.*q_proj"},
    {"target_modules": "model.layers.0.self_attn.q_proj|" * 300 + "x"},
    {"init_lora_weights": "gaussian", "megatron_core": "megatron.core", "auto_mapping": None},
    {"init_lora_weights": "eva", "eva_config": {"rho": 2.0}},
    {"auto_mapping": {"base_model_class": "GPT2LMHeadModel", "parent_library": "transformers.models.gpt2.modeling_gpt2"}},
    {"rank_pattern": {"layers.1.self_attn.q_proj": 2}, "r": 2},
    {"layers_to_transform": [0, 1], "layers_pattern": "layers"},
    {"lora_alpha": 4.0, "lora_dropout": 0, "bias": "none", "modules_to_save": None, "corda_config": None, "loftq_config": {}},
    {"enable_lora": None, "merge_weights": False},
]


@pytest.mark.parametrize("config", ORDINARY, ids=str)
def test_ordinary_configurations_are_nothing(config: dict[str, Any], tmp_path: Path) -> None:
    assert raised(ConfigProbe(), adapter(tmp_path / "a", **config)) == []


@pytest.mark.parametrize(
    "pattern", ["(" * 999, "(" * 900 + ")" * 900, "[" * 2000, "a{1,2}" * 300, "(a|" * 600 + ")" * 600, "(a*" * 90 + ")*" * 90], ids=lambda p: p[:6]
)
def test_a_hostile_pattern_is_judged_in_time(pattern: str, tmp_path: Path) -> None:
    started = time.process_time()
    raised(ConfigProbe(), adapter(tmp_path / "a", target_modules=pattern))
    assert time.process_time() - started < 5


HANGING = [
    r"(a+)+b", r"((a+))+b", r"(\w+\.?)*!", r"([a-z_0-9]+\.?)+!", r"(ab|a(b)?)*c", r"(?:(?:a{2,})x?){3,}!", r"(.*)*!", r"(.*a){30}!", r"(a|a)*!", r"(a|b|ab)*!",
    r"(\w*_?)*!", r"(?=(a+)+b)a", r".*.*.*.*.*.*.*.*!", r"([^!]*[^!]*)*!", r"(a?a?)*!", r"(\w+\w)+!",
    ".?" * 40 + "!|.*_proj", r"(?:.?.?.?.?.?){7}!|.*_proj", r"(?>(?:\w+\.?)+!)|.*_proj", r"(?:(?:\w+\.?)+!)?+.*_proj", "(?:.|..)" * 30 + "!", r"(?:.{0,7}){7}!",
    r"(?:(?:.|.)(?:.|.)(?:.|.)(?:.|.)(?:.|.)){6}!|.*_proj", r"model\.odd\.part\.(?:[a-z]?){40}!|.*q", r"(?=(?:.?){40}!).*", r"(?i:A?a?){30}!", r"(?i)(?:[a-z]+A)*!",
]  # fmt: skip
LINEAR = [
    r".*\.(q|k|v)_proj", r"(\w+\.)*q_proj", r"([a-z]+\d+\.)*x", r"(?:self_attn|mlp)+", r"(?:(?:ab|cd)e)*", r"model\.layers\.\d+\..*", r"(?:.*\.)?(?:x)$", r"(abc)*", r"[a-z]+_proj",
    r".*?(a|b).*?(c|d).*?(e|f).*?(g|h).*", r"(?:x{1,3}\.)*y", r"^(language_model|visual.merger)(?!.*(lm_head|output|emb|wte|shared)).*", r".*\..*\..*\..*q_proj",
    r"^(?!.*patch_embed).*(?:down_proj|o_proj|gate_proj|k_proj|up_proj|q_proj|v_proj|qkv|proj|fc1|fc2).*", r"(?=.*\.language_model\.)(?=.*\.(?:up_proj|k_proj)).*",
    r"(?:.*?(?:vision|image|language|text).*?(?:self_attn|attention|mlp|ffn|dense).*?(?:k_proj|v_proj|q_proj|out_proj|fc1|fc2|proj).*?)|(?:\bmodel\.layers\.[\d]{1,}\.mlp)",
    "(?:" + "|".join(f"model.layers.{i}.self_attn.{c}_proj" for i in range(60) for c in "qkvo") + ")",
]  # fmt: skip


@pytest.mark.parametrize("pattern", HANGING)
def test_patterns_that_hang_are_told_from_their_structure(pattern: str) -> None:
    assert can_hang(pattern)


@pytest.mark.parametrize("pattern", LINEAR)
def test_patterns_that_do_not_hang_are_nothing(pattern: str) -> None:
    assert not can_hang(pattern)
    name = "model.layers.17.self_attn.q_proj" + ".x_proj1" * 6
    started = time.process_time()
    re.compile(pattern).fullmatch(name)
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize("pattern", [r"(a+)+b", r".*.*.*.*.*.*.*.*!"])
def test_patterns_called_hanging_do_hang_pythons_engine(pattern: str) -> None:
    text = "a" * 60 if "a" in pattern[:3] else "model.layers.17.self_attn.q_proj" * 3
    code = f"import re; re.compile({pattern!r}).fullmatch({text!r})"
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run([sys.executable, "-c", code], timeout=1.5, check=False)


def test_a_weights_file_without_a_configuration_is_judged_by_what_it_says(tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    from scanner.scan import scan

    values = {"lora_unet_q.lora_down.weight": np.ones((2, 8), np.float32), "lora_unet_q.lora_up.weight": np.ones((6, 2), np.float32)}
    save_file(values | {"lora_unet_q.alpha": np.array(1000, np.float32)}, tmp_path / "x.safetensors")
    found = {f.rule: f for f in raised(ConfigProbe(), tmp_path / "x.safetensors")}
    assert set(found) == {"config-scaling", "base-undeclared"}
    assert found["config-scaling"].location.file == "x.safetensors"
    assert scan(tmp_path / "x.safetensors").verdict.outcome is Outcome.REVIEW


@pytest.mark.model
def test_the_defaults_of_every_method_are_nothing(tmp_path: Path) -> None:
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    needed: dict[str, dict[str, Any]] = {
        "LN_TUNING": {"target_modules": ["norm"]},
        "CPT": {"cpt_token_ids": [1, 2], "cpt_mask": [1, 1], "cpt_tokens_type_mask": [1, 1], "task_type": "CAUSAL_LM"},
        "ADALORA": {"total_step": 100},
        "SHADOW": {"shadow_hidden_size": 64},
        "XLORA": {"hidden_size": 64, "adapters": {}},
    }
    for kind, made in PEFT_TYPE_TO_CONFIG_MAPPING.items():
        settings = made(**needed.get(kind, {}), base_model_name_or_path="org/tiny")
        settings.inference_mode = True
        settings.save_pretrained(tmp_path / kind)
        folder = adapter(tmp_path / f"{kind} folder")
        written = json.loads((tmp_path / kind / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps(written))
        found = ids(raised(ConfigProbe(), folder)) - {"config-tensors"}
        assert found == set(), kind


@pytest.mark.parametrize("model", ["config.json", "x.gguf"])
@pytest.mark.parametrize(
    ("declared", "folder"),
    [
        ("a/base", "base"),
        ("./base", "base"),
        ("org/a/base", "base"),
        ("a/.git/base", ".git/base"),
        ("a\\Base", "base"),
        ("base", "x/base"),
        ("a/x/base/", "x/base"),
    ],
)
def test_a_base_that_came_with_the_adapter_is_told(declared: str, folder: str, model: str, tmp_path: Path) -> None:
    inner = adapter(tmp_path / "a", base_model_name_or_path=declared) / folder
    inner.mkdir(parents=True)
    (inner / model).write_text('{"model_type": "llama"}')
    assert "base-inside" in ids(raised(ConfigProbe(), tmp_path / "a"))


@pytest.mark.parametrize("declared", ["org/other", "org/base-7b", "base/org", ".", ""])
def test_a_model_of_another_name_below_is_not_the_declared_base(declared: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a", base_model_name_or_path=declared)
    (folder / "config.json").write_text("{}")
    (folder / "base").mkdir()
    (folder / "base" / "config.json").write_text("{}")
    assert "base-inside" not in ids(raised(ConfigProbe(), folder))


def test_a_checkpoint_called_like_the_base_is_no_base(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a", base_model_name_or_path="out/sft/checkpoint-500")
    adapter(folder / "checkpoint-500")
    assert raised(ConfigProbe(), folder) == []
