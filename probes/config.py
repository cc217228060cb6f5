"""adapter_config.json: fields that import, load, change the base, hang or explode, and claims that do not hold."""

from __future__ import annotations

import re
import re._constants as _constants  # type: ignore[import-not-found]
import re._parser as _parser  # type: ignore[import-not-found]
from collections.abc import Iterator
from typing import Any

from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.measurement import Coverage, Status
from scanner.probe import Need, Yield
from scanner.rule import (
    ATLAS_MASQUERADING,
    ATLAS_MODIFY_ARCHITECTURE,
    ATLAS_TRIGGER,
    CWE_REGEX,
    CWE_UNTRUSTED_INCLUDE,
    OWASP_CONSUMPTION,
    OWASP_SUPPLY_CHAIN,
    Basis,
    Rule,
    Severity,
)
from scanner.subject import Subject

FILE = "adapter_config.json"
KNOWN = frozenset(
    [
        "alora_invocation_tokens",
        "alpha_pattern",
        "arrow_config",
        "auto_mapping",
        "base_model_name_or_path",
        "bias",
        "corda_config",
        "ensure_weight_tying",
        "eva_config",
        "exclude_modules",
        "fan_in_fan_out",
        "inference_mode",
        "init_lora_weights",
        "kasa_config",
        "layer_replication",
        "layers_pattern",
        "layers_to_transform",
        "loftq_config",
        "lora_alpha",
        "lora_bias",
        "lora_dropout",
        "lora_ga_config",
        "megatron_config",
        "megatron_core",
        "modules_to_save",
        "monteclora_config",
        "peft_type",
        "peft_version",
        "qalora_group_size",
        "r",
        "rank_pattern",
        "revision",
        "runtime_config",
        "target_modules",
        "target_parameters",
        "task_type",
        "trainable_token_indices",
        "use_bdlora",
        "use_dora",
        "use_qalora",
        "use_rslora",
        "velora_config",
        "enable_lora",
        "merge_weights",
    ]
)
MUTATING_INIT = ("pissa", "olora", "corda", "loftq")
LARGEST_SCALING = 64.0

IMPORTS = Rule(
    id="config-imports",
    title="The configuration asks the loader to import code",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="auto_mapping, megatron_core or auto_map name a Python module to import.",
    why="Current PEFT allows only a few; older versions import what the file says.",
    fix="Remove the field; a LoRA for a Hugging Face model needs none.",
    references=(CWE_UNTRUSTED_INCLUDE, OWASP_SUPPLY_CHAIN),
)
MUTATES_BASE = Rule(
    id="config-changes-base",
    title="The configuration changes the base model when it loads",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="init_lora_weights, layer_replication or kasa_config make PEFT rewrite or duplicate base layers.",
    why="The base stays changed after the adapter is disabled or unloaded. PiSSA and OLoRA adapters saved without conversion look like this honestly.",
    fix="Ask for the adapter converted to plain LoRA (PEFT: path_initial_model_for_weight_conversion). What such a file does was not measured.",
    references=(ATLAS_MODIFY_ARCHITECTURE,),
)
REMOTE = Rule(
    id="config-remote",
    title="The configuration pulls in other artefacts",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="A field names another repository or path that the loader would open.",
    why="What is fetched later was not scanned, and paths can reach files of your machine.",
    fix="Remove the field, or scan what it names.",
    references=(OWASP_SUPPLY_CHAIN, CWE_UNTRUSTED_INCLUDE),
)
PATTERN = Rule(
    id="config-pattern",
    title="A pattern that can hang the loader",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="A field that PEFT uses as a regular expression repeats a group that itself repeats.",
    why="Python's engine can take exponential time on it: loading never ends.",
    fix="Replace the pattern with the list of module names.",
    references=(CWE_REGEX, OWASP_CONSUMPTION),
)
SCALING = Rule(
    id="config-scaling",
    title="An extreme or negative scaling",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="alpha / rank is negative, zero, or over 64 for at least one module.",
    why="PEFT applies any number. Large scalings drown the base; negative ones subtract what was learnt.",
    fix="Ask for the training recipe. Ordinary scalings lie between 0.1 and 32.",
)
CONDITIONAL = Rule(
    id="config-conditional",
    title="The adapter acts only on chosen tokens",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="alora_invocation_tokens or trainable_token_indices tie the change to certain tokens.",
    why="It is a declared feature, and it is also exactly what a trigger is. unmask does not apply these fields.",
    fix="Ask which tokens and why; test with them in the prompt.",
    references=(ATLAS_TRIGGER,),
)
UNKNOWN = Rule(
    id="config-unknown",
    title="Fields that PEFT 0.21 does not know",
    severity=Severity.LOW,
    basis=Basis.DOCUMENTATION,
    meaning="The configuration holds fields outside PEFT's LoraConfig; PEFT drops them with a warning.",
    why="Other loaders may read them. Newer and older PEFT versions leave such fields honestly.",
    fix="Nothing, if the fields come from a version you know.",
)
AMBIGUOUS = Rule(
    id="config-ambiguous",
    title="A key is written twice",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="The JSON repeats a key. Python takes the last value, other parsers the first.",
    why="Two tools then read two configurations.",
    fix="Ask for a file with each key once.",
    references=(ATLAS_MASQUERADING,),
)
OTHER_BASE = Rule(
    id="base-differs",
    title="The adapter was made for another base",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="base_model_name_or_path does not name the base it was scanned on, though every shape fits.",
    why="On another base an adapter's behaviour is unpredictable; nothing at load time checks this.",
    fix="Scan it on the base you deploy and confirm with the author that it is the intended one.",
    references=(ATLAS_MASQUERADING,),
)
NO_BASE = Rule(
    id="base-undeclared",
    title="No base model is declared",
    severity=Severity.LOW,
    basis=Basis.DOCUMENTATION,
    meaning="base_model_name_or_path is empty, or a path on the author's machine.",
    why="Nobody can tell which model this adapter belongs to.",
    fix="Ask the author for the base and its revision.",
)
_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT)


class ConfigProbe:
    """The configuration, field by field, against the tensors and the base."""

    id = "config"
    title = "Configuration"
    needs = Need.DELTA
    cost = "one pass over the configuration"
    rules = (IMPORTS, MUTATES_BASE, REMOTE, PATTERN, SCALING, CONDITIONAL, UNKNOWN, AMBIGUOUS, OTHER_BASE, NO_BASE)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Judge every field that has a meaning for safety."""
        raw, config = subject.adapter.config_file.raw, subject.adapter.config

        def finding(rule: Rule, field: str, message: str) -> Finding:
            return Finding(rule=rule.id, message=message, severity=rule.severity, location=Location(file=FILE, item=printable(field, 80)))

        for field in ("auto_mapping", "auto_map", "megatron_config", "custom_pipelines"):
            if raw.get(field):
                yield finding(IMPORTS, field, f"{field} is {printable(raw[field], 120)}")
        if raw.get("megatron_core") not in (None, "megatron.core"):
            yield finding(IMPORTS, "megatron_core", f"megatron_core is {printable(raw['megatron_core'], 120)}")
        init = raw.get("init_lora_weights")
        if isinstance(init, str) and init.lower().startswith(MUTATING_INIT):
            yield finding(MUTATES_BASE, "init_lora_weights", f"init_lora_weights is {printable(init, 60)}")
        for field in ("layer_replication", "kasa_config"):
            if raw.get(field):
                yield finding(MUTATES_BASE, field, f"{field} is {printable(raw[field], 120)}")
        for field in ("adapters", "shadow_model", "prompt_tuning_init_state_dict_path", "arrow_config", "tokenizer_name_or_path"):
            if raw.get(field):
                yield finding(REMOTE, field, f"{field} is {printable(raw[field], 120)}")
        for field, text in _patterns(raw):
            if len(text) > 2000 or _can_hang(text):
                yield finding(PATTERN, field, f"{field}: {printable(text, 120)}")
        extreme = [m for m in subject.delta.modules if not 0 < m.scale <= LARGEST_SCALING]
        if extreme:
            worst = max(extreme, key=lambda m: abs(m.scale))
            yield finding(
                SCALING,
                "lora_alpha",
                f"scaling {worst.scale:g} on {len(extreme)} of {len(subject.delta.modules)} modules, first {printable(worst.module, 100)}",
            )
        for field in ("alora_invocation_tokens", "trainable_token_indices"):
            if raw.get(field):
                yield finding(CONDITIONAL, field, f"{field} is {printable(raw[field], 120)}")
        unknown = sorted(set(raw) - KNOWN)
        if unknown:
            yield finding(UNKNOWN, unknown[0], ", ".join(printable(f, 60) for f in unknown[:12]))
        if subject.adapter.config_file.twice:
            field = subject.adapter.config_file.twice[0]
            yield finding(AMBIGUOUS, field, f"{printable(field, 80)} is written more than once")
        yield from self._base(subject, config.base_model_name_or_path or "", finding)
        yield Coverage(probe=self.id, what="every field of the configuration", status=Status.MEASURED, surface=f"{len(raw)} fields")

    def _base(self, subject: Subject, declared: str, finding: Any) -> Iterator[Finding]:
        local = declared.startswith(("/", "~", ".", "\\")) or re.match(r"^[A-Za-z]:[\\/]", declared)
        if not declared or local:
            yield finding(NO_BASE, "base_model_name_or_path", f"base_model_name_or_path is {printable(declared, 120) or 'empty'}")
        elif subject.base is not None:
            names = {subject.base.name, *subject.base.origin, str(subject.base.config.get("_name_or_path", ""))}
            ends = {n.rstrip("/").rsplit("/", 1)[-1].lower() for n in names if n}
            if declared.rstrip("/").rsplit("/", 1)[-1].lower() not in ends:
                yield finding(OTHER_BASE, "base_model_name_or_path", f"declared {printable(declared, 120)}, scanned on {printable(subject.base.name, 120)}")


def _can_hang(pattern: str) -> bool:
    """Whether `pattern` repeats, without bound, something that repeats or branches."""
    try:
        stack = [(tuple(_parser.parse(pattern)), False)]
    except (re.error, RecursionError, OverflowError):
        return False
    while stack:
        parts, repeated = stack.pop()
        for part in parts:
            if isinstance(part, tuple | list | _parser.SubPattern):
                again = repeated
                if isinstance(part, tuple) and len(part) == 2 and any(part[0] is r for r in _REPEATS):
                    unbounded = part[1][1] is _constants.MAXREPEAT or part[1][1] > 64
                    if unbounded and repeated:
                        return True
                    again = repeated or unbounded
                elif isinstance(part, tuple) and len(part) == 2 and part[0] is _constants.BRANCH and repeated:
                    return True
                stack.append((tuple(part), again))
    return False


def _patterns(raw: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every string of the configuration that PEFT would use as a regular expression."""
    for field in ("target_modules", "exclude_modules", "layers_pattern", "modules_to_save"):
        value = raw.get(field)
        for text in [value] if isinstance(value, str) else value if isinstance(value, list) else []:
            if isinstance(text, str):
                yield field, text
    for field in ("rank_pattern", "alpha_pattern"):
        if isinstance(raw.get(field), dict):
            for key in raw[field]:
                yield field, key
