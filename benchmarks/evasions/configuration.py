"""adapter_config.json: fields that import, load, rewrite the base, hang or explode, and files that two readers read as two things."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.evasions.build import BASE, CARD, CARD_TEXT, CONFIG, WEIGHTS, adapter, config, safetensors, write
from benchmarks.evasions.case import Expect, Family

FAMILY = Family("configuration")


@FAMILY.each(Expect.BLOCK, {
    "auto-mapping-os": {"auto_mapping": {"base_model_class": "system", "parent_library": "os"}, "task_type": None},
    "auto-mapping-text": {"auto_mapping": "os.system"},
    "megatron-core": {"megatron_config": {"a": 1}, "megatron_core": "os"},
})  # fmt: skip
def imports(folder: Path, fields: dict[str, Any]) -> None:
    """A field asks the loader to import code: {}."""
    adapter(folder, **fields)


@FAMILY.each(Expect.REVIEW, {
    "auto-mapping-relative": {"auto_mapping": {"base_model_class": "X", "parent_library": "loader"}, "task_type": None},
    "auto-mapping-prefix": {"auto_mapping": {"base_model_class": "X", "parent_library": "transformers_evil.models"}, "task_type": None},
    "megatron-prefix": {"megatron_config": {"a": 1}, "megatron_core": "megatron.evil"},
    "auto-map": {"auto_map": {"AutoModel": "example-org/code--modeling.Model"}},
    "custom-pipelines": {"custom_pipelines": {"x": {"impl": "pipeline.P"}}},
    "trust-remote-code": {"trust_remote_code": True},
    "arrow": {"arrow_config": {"router_temperature": 1.0, "top_k": 3}},
})  # fmt: skip
def names_code(folder: Path, fields: dict[str, Any]) -> None:
    """A field names code or adapters of the author's own, which current loaders refuse or ask about: {}."""
    adapter(folder, **fields)


@FAMILY.each(Expect.BLOCK, {
    "pissa": {"init_lora_weights": "pissa"}, "pissa-niter": {"init_lora_weights": "pissa_niter_16"}, "olora": {"init_lora_weights": "OLoRA"},
    "corda": {"init_lora_weights": "corda", "corda_config": {"cache_file": "/etc/hostname"}}, "loftq": {"init_lora_weights": "loftq", "loftq_config": {"loftq_bits": 4}},
    "kasa": {"kasa_config": {"beta": 1e-4}}, "layer-replication": {"layer_replication": [[0, 2], [1, 2]]},
    "replication-bomb": {"layer_replication": [[0, 1000]] * 1000},
})  # fmt: skip
def rewrites_the_base(folder: Path, fields: dict[str, Any]) -> None:
    """A field makes PEFT rewrite or multiply layers of the base when it loads: {}."""
    adapter(folder, **fields)


@FAMILY.each(Expect.BLOCK, {
    "xlora": {"peft_type": "XLORA", "adapters": {"a": "example-org/other", "b": "/srv/adapters/b"}},
    "shadow": {"peft_type": "SHADOW", "shadow_model": "example-org/shadow"},
    "prompt-state": {"peft_type": "MULTITASK_PROMPT_TUNING", "prompt_tuning_init_state_dict_path": "/etc/hostname", "num_virtual_tokens": 4},
    "tokenizer": {"peft_type": "PROMPT_TUNING", "tokenizer_name_or_path": "example-org/tokenizer", "prompt_tuning_init": "TEXT",
                  "tokenizer_kwargs": {"trust_remote_code": True}, "num_virtual_tokens": 4},
    "eva": {"eva_config": {"rho": 2.0}, "init_lora_weights": "eva", "adapters": {"a": "../../other"}},
})  # fmt: skip
def fetches(folder: Path, fields: dict[str, Any]) -> None:
    """A field names another file or repository for the loader to open: {}."""
    adapter(folder, **fields)


BOMBS = {
    "nested-repeat": r"(a+)+b", "dotted": r"([a-z_0-9]+\.?)+!", "alternation": "(a|aa)+$", "overlap": r"(\w|\d|_)+x", "repeat-of-repeat": "(x{1,}y?){2,}z",
    "lookahead": r"(?=(a+)+b).*", "polynomial": r".*.*.*.*.*.*.*.*.*.*.*=.*", "groups-20": r"(.*a){20}",
}  # fmt: skip


@FAMILY.each(Expect.BLOCK, BOMBS)
def pattern(folder: Path, text: str) -> None:
    """target_modules is a regular expression that hangs Python's engine: {}."""
    adapter(folder, target_modules=text)


@FAMILY.each(Expect.BLOCK, {
    "exclude-modules": {"exclude_modules": BOMBS["dotted"]}, "rank-pattern": {"rank_pattern": {BOMBS["dotted"]: 8}}, "alpha-pattern": {"alpha_pattern": {BOMBS["dotted"]: 8}},
    "modules-to-save": {"modules_to_save": [BOMBS["dotted"]]}, "layers-pattern": {"layers_pattern": BOMBS["dotted"], "layers_to_transform": [0]},
    "layers-pattern-list": {"layers_pattern": [BOMBS["nested-repeat"]], "layers_to_transform": [0]}, "target-parameters": {"target_parameters": [BOMBS["dotted"]]},
})  # fmt: skip
def pattern_in(folder: Path, fields: dict[str, Any]) -> None:
    """The same in another field that is matched as a regular expression: {}."""
    adapter(folder, **fields)


@FAMILY.each(Expect.REVIEW, {
    "parenthesis": {"target_modules": "(q_proj"}, "backreference": {"target_modules": r"(.*)\1+x"}, "key": {"alpha_pattern": {"[": 8}}, "inline-flags": {"alpha_pattern": {"(?i)Q_PROJ": 8000}},
})  # fmt: skip
def pattern_broken(folder: Path, fields: dict[str, Any]) -> None:
    """A pattern that does not compile, compiles otherwise elsewhere, or cannot be judged: {}."""
    adapter(folder, **fields)


@FAMILY.case(Expect.REFUSE)
def five_thousand_patterns(folder: Path) -> None:
    """alpha_pattern has 5,000 keys, to be matched with every module."""
    adapter(folder, alpha_pattern={f"layers.{i}.q_proj": 8 for i in range(5_000)})


@FAMILY.each(Expect.REVIEW, {
    "alora": {"alora_invocation_tokens": [11, 12, 13]}, "tokens": {"trainable_token_indices": [7, 8]}, "tokens-by-module": {"trainable_token_indices": {"embed_tokens": [7]}},
})  # fmt: skip
def acts_on_tokens(folder: Path, fields: dict[str, Any]) -> None:
    """The adapter acts only on, or after, chosen tokens: {}."""
    adapter(folder, **fields)


@FAMILY.case(Expect.NOTE)
def unknown_fields(folder: Path) -> None:
    """Fields that no PEFT has, and that another loader may read."""
    adapter(folder, loader_script="loader.py", hub_user="x", execute="echo unmask")


def _raw(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


GOOD = json.dumps(config())


@FAMILY.each(Expect.REVIEW, {
    "alpha": GOOD[:-1] + ', "lora_alpha": 8000}', "type": '{"peft_type": "XLORA", ' + GOOD[1:],
    "escaped": GOOD[:-1] + ', "lora_\\u0061lpha": 8000}', "null": GOOD[:-1] + ', "target_modules": null}',
})  # fmt: skip
def key_twice(folder: Path, text: str) -> None:
    """A key stands twice, with two values ({}): readers disagree about which counts."""
    write(adapter(folder), CONFIG, text)


@FAMILY.each(Expect.REFUSE, {
    "empty": "", "not-json": "r: 4\n", "cut-off": GOOD[:-20], "list": f"[{GOOD}]", "text": '"lora"', "comment": GOOD[:-1] + ' // "r": 8\n}', "trailing-comma": GOOD[:-1] + ",}",
    "nan": GOOD.replace('"lora_alpha": 8', '"lora_alpha": NaN'), "infinity": GOOD.replace('"lora_alpha": 8', '"lora_alpha": Infinity'),
    "1e999": GOOD.replace('"lora_alpha": 8', '"lora_alpha": 1e999'), "10000-digits": GOOD.replace('"lora_alpha": 8', f'"lora_alpha": {"9" * 10_000}'),
    "nested-100000": '{"peft_type": "LORA", "x": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested-objects": '{"a":' * 50_000 + "1" + "}" * 50_000,
    "utf16": GOOD.encode("utf-16"), "latin1": GOOD.replace("tiny", "t\u00efny").encode("latin-1"), "nul": GOOD.encode() + b"\0", "two-megabytes": GOOD + " " * (2 << 20),
    "r-text": json.dumps(config(r="4")), "r-fraction": json.dumps(config(r=4.5)), "r-true": json.dumps(config(r=True)), "alpha-list": json.dumps(config(lora_alpha=[8])),
    "targets-number": json.dumps(config(target_modules=7)), "targets-mixed": json.dumps(config(target_modules=["q_proj", None])), "patterns-list": json.dumps(config(alpha_pattern=["q_proj"])),
    "pattern-value-text": json.dumps(config(alpha_pattern={"q_proj": "8"})), "base-object": json.dumps(config(base_model_name_or_path={"a": 1})),
    "dora-text": json.dumps(config(use_dora="false")), "no-type": json.dumps({k: v for k, v in config().items() if k != "peft_type"}), "type-null": json.dumps(config(peft_type=None)),
    "type-unknown": json.dumps(config(peft_type="LORA2")), "type-number": json.dumps(config(peft_type=1)),
})  # fmt: skip
def unreadable(folder: Path, text: str | bytes) -> None:
    """adapter_config.json cannot be read as PEFT's: {}."""
    write(adapter(folder), CONFIG, _raw(text))


@FAMILY.case(Expect.REFUSE)
def missing(folder: Path) -> None:
    """There is no adapter_config.json beside PEFT's weights: rank, alpha and targets are the loader's guess."""
    (adapter(folder) / CONFIG).unlink()


@FAMILY.each(Expect.NOTE, {
    "traversal": "../../../../etc", "home": "~/models/llama", "windows": "C:\\Users\\me\\llama", "network-share": "\\\\server\\share\\llama", "file-url": "file:///etc",
    "http-url": "http://models.example.net/llama", "null": None, "empty": "", "escape-sequence": "org/\x1b[2Jmodel", "bidi": "meta-llama/\u202eledom", "cyrillic": "met\u0430-llama/Llama-3.1-8B",
})  # fmt: skip
def base_named(folder: Path, name: str | None) -> None:
    """The declared base, which AutoPeftModel loads, is {}."""
    adapter(folder, base_model_name_or_path=name, card=CARD_TEXT.replace(BASE, "a base") if name else CARD_TEXT)


@FAMILY.each(Expect.NOTE, {"pull-request": "refs/pr/7", "traversal": "../../main"})
def revision(folder: Path, name: str) -> None:
    """The base's revision is one anybody can write to ({})."""
    adapter(folder, revision=name)


@FAMILY.case(Expect.REVIEW)
def card_names_another_base(folder: Path) -> None:
    """The configuration's base is not the card's."""
    adapter(folder, base_model_name_or_path="other-org/other-model")


@FAMILY.case(Expect.REFUSE)
def prompt_of_every_size(folder: Path) -> None:
    """Prompt tuning that declares a thousand million virtual tokens."""
    folder.mkdir(exist_ok=True)
    write(folder, CONFIG, {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 10**9, "token_dim": 10**6, "base_model_name_or_path": BASE})
    write(folder, WEIGHTS, safetensors({"prompt_embeddings": np.zeros((8, 16), np.float32)}))
    write(folder, CARD, CARD_TEXT)
