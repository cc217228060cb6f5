"""Fields that import, fetch, change the base or act on chosen tokens."""

from __future__ import annotations

import sys
from typing import Any

from probes.config.claim import Claim, Claims
from probes.config.rules import CONDITIONAL, IMPORTS, MUTATES_BASE, REMOTE
from scanner.files.text import printable
from scanner.rule import Severity

MUTATING_INIT = ("pissa", "olora", "corda", "loftq")
LIBRARIES = ("transformers", "diffusers", "lerobot", "megatron")
"""What PEFT 0.21 imports from where a configuration asks for it; it writes these names itself."""
MIRROR = "mirror"
"""SHADOW's word for a small copy of the base, made on the spot."""
NEVER = frozenset([*sys.stdlib_module_names, "pip", "setuptools", "nt", "posix", "pickle", "joblib", "dill", "cloudpickle", "requests", "numpy", "torch"])
"""Modules that no adapter's model class comes from."""


def imports(raw: dict[str, Any]) -> Claims:
    """Python modules that the loader is asked to import."""
    mapping = raw.get("auto_mapping")
    if isinstance(mapping, dict):
        parent = mapping.get("parent_library")
        if set(mapping) - {"base_model_class", "parent_library"} or not all(isinstance(v, str | None) for v in mapping.values()):
            yield Claim(IMPORTS, "auto_mapping", f"auto_mapping is {printable(mapping, 120)}")
        elif parent and parent.partition(".")[0] not in LIBRARIES:
            severity = Severity.HIGH if parent.partition(".")[0] in NEVER else Severity.MEDIUM
            yield Claim(IMPORTS, "auto_mapping", f"auto_mapping imports {printable(parent, 120)}", severity)
    elif mapping:
        yield Claim(IMPORTS, "auto_mapping", f"auto_mapping is {printable(mapping, 120)}")
    core = raw.get("megatron_core")
    if core is not None and core != "megatron.core":
        yield Claim(
            IMPORTS, "megatron_core", f"megatron_core is {printable(core, 120)}", Severity.MEDIUM if str(core).startswith("megatron.") else Severity.HIGH
        )
    for field in ("megatron_config", "auto_map", "custom_pipelines", "trust_remote_code"):
        if raw.get(field):
            yield Claim(IMPORTS, field, f"{field} is {printable(raw[field], 120)}", Severity.MEDIUM)


def changes_of_the_base(raw: dict[str, Any]) -> Claims:
    """What makes PEFT rewrite base weights, or repeat base layers, while it loads."""
    init = raw.get("init_lora_weights")
    if isinstance(init, str) and init.lower().startswith(MUTATING_INIT):
        yield Claim(MUTATES_BASE, "init_lora_weights", f"init_lora_weights is {printable(init, 60)}")
    for field in ("layer_replication", "kasa_config"):
        if raw.get(field):
            yield Claim(MUTATES_BASE, field, f"{field} is {printable(raw[field], 120)}")


def remote(raw: dict[str, Any]) -> Claims:
    """Other artefacts that the loader would open."""
    for field in ("adapters", "shadow_model", "prompt_tuning_init_state_dict_path"):
        if raw.get(field) and raw[field] != MIRROR:
            yield Claim(REMOTE, field, f"{field} is {printable(raw[field], 120)}")
    tokenizer, base = raw.get("tokenizer_name_or_path"), raw.get("base_model_name_or_path")
    if tokenizer and tokenizer != base:
        yield Claim(REMOTE, "tokenizer_name_or_path", f"tokenizer_name_or_path is {printable(tokenizer, 120)}, and not the base", Severity.MEDIUM)
    options = raw.get("tokenizer_kwargs")
    if isinstance(options, dict) and options.get("trust_remote_code"):
        yield Claim(REMOTE, "tokenizer_kwargs", "tokenizer_kwargs trusts remote code")
    for field in ("corda_config", "lora_ga_config", "arrow_config"):
        nested = raw.get(field)
        for inner in ("cache_file", "covariance_file", "task_adapter_names", "gks_adapter_names"):
            if isinstance(nested, dict) and nested.get(inner):
                yield Claim(REMOTE, field, f"{field}.{inner} is {printable(nested[inner], 120)}", Severity.MEDIUM)


def conditional(raw: dict[str, Any]) -> Claims:
    """Tokens the change is tied to; for a method that is nothing else, this is only told."""
    for field in ("alora_invocation_tokens", "trainable_token_indices"):
        if raw.get(field):
            yield Claim(CONDITIONAL, field, f"{field} is {printable(raw[field], 120)}")
    if raw.get("peft_type") == "TRAINABLE_TOKENS" and raw.get("token_indices"):
        yield Claim(CONDITIONAL, "token_indices", f"token_indices is {printable(raw['token_indices'], 120)}", Severity.LOW)
