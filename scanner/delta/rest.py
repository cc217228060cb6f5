"""The tensors no method claims: trained biases, saved modules, trained tokens, and what should not be there."""

from __future__ import annotations

import re

import numpy as np

from scanner.delta.reading import PREFIX, Reading, Role
from scanner.delta.replaced import Replaced
from scanner.delta.stored import Stored
from scanner.model.base import Base

EMBEDDINGS = ("embed_tokens", "wte", "word_embeddings", "lm_head", "embed_out", "shared", "tok_embeddings", "embed_in")
HEADS = ("classifier", "score", "qa_outputs", "pre_classifier", "classification_head", "pooler")
HEAD_TASKS = ("SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS")
ROUNDING = 2.0**-7
"""Two copies of a weight may differ by the rounding to bfloat16."""
_OWN = re.compile(
    r"(?:^|\.)(?:(?:ada)?lora|ia3|hada|lokr|b?oft|hra|p?vera|randlora|vblora|unilora|tinylora|fourierft|waveft|c3a|frod|delora|gralora|glora|deft|miss|bone"
    r"|lily|peanut|adamss|osf|poly|supertuning|shadow|road|beft|s?hira|psoft|internal_xlora|trainable_tokens|adaption|prompt|prefix|token_adapter)(?:_|\.)"
)
_MODULES = re.compile(
    r"(?:^|\.)(?:\w*_proj|\w*norm\w*|ln_\w+|lm_head|embed\w*|wte|wpe|c_attn|c_fc|fc\d?|dense\w*|query|key|value|score|classifier|router|gate|out_lin|[qkvo]_lin)$"
)
_FACTOR = re.compile(r"\.lora_(?:[AB]\.weight|embedding_[AB])$")
_DECOY = re.compile(r"^(?P<module>.+?)\.(?:lora_[AB]\..+\.weight|lora_(?:embedding_[AB]|magnitude_vector)\.(?!weight$).+)$")


def read(reading: Reading) -> None:
    """Claim every tensor that is left."""
    reading.tokens("token_adapter.trainable_tokens_delta", reading.raw.get("trainable_token_indices"))
    for name in list(reading.free):
        bare = name.removeprefix(PREFIX)
        if not reading.understood and (name == bare or not _common(*_split(bare)[:2])):
            del reading.free[name]  # a tensor of the method that is not understood
        elif name == bare:
            reading.stray(name, bare, Role.UNPREFIXED if _FACTOR.search(bare) else Role.OTHER)
        elif bare.startswith(PREFIX):
            while bare.startswith(PREFIX):
                bare = bare.removeprefix(PREFIX)
            reading.stray(name, bare, Role.WRAPPED)
        elif found := _DECOY.match(bare):
            reading.stray(name, found["module"], Role.DECOY)
        else:
            _plain(reading, name, bare)
    if reading.targets.many:
        reading.refuse("adapter_config.json", "more names and patterns than can be matched")


def _plain(reading: Reading, name: str, bare: str) -> None:
    """A tensor under a name of the base's kind."""
    module, parameter, path = _split(bare)
    wrapped = reading.targets.covers(module)
    # PEFT moves the tensors of a wrapped module to `base_layer`; the other name then exists for nobody.
    missing = wrapped is False if path != bare else wrapped is True
    if not module or missing or _OWN.search(bare):
        reading.stray(name, bare, Role.OTHER)
        return
    role = _role(reading, module, parameter, wrapped)
    tensor = reading.take(name)
    if tensor is None:
        reading.stray(name, bare, role)
        return
    if reading.base is not None and role in (Role.EMBEDDING, Role.BASE_WEIGHT):
        role = _against(reading.base, module, parameter, tensor, role)
    reading.stray(name, bare, role)
    if role is not Role.COPY:
        reading.changes.append(Replaced(module=module, parameter=parameter, value=tensor, everywhere=role not in (Role.SAVED_MODULE, Role.HEAD)))


def _split(bare: str) -> tuple[str, str, str]:
    """Module, parameter, and the name without PEFT's `base_layer`."""
    path = bare.replace(".base_layer.", ".")
    module, _, parameter = path.rpartition(".")
    return module, parameter, path


def _common(module: str, parameter: str) -> bool:
    """Whether this is what a weight of a transformer is called."""
    return parameter in ("weight", "bias") and _MODULES.search(module) is not None


def _role(reading: Reading, module: str, parameter: str, wrapped: bool | None) -> Role:
    task = reading.raw.get("task_type")
    if module.split(".")[0] in HEADS and (task in HEAD_TASKS or (task is None and reading.targets.saves(module))):
        return Role.HEAD
    if reading.targets.saves(module):
        return Role.SAVED_MODULE
    if parameter == "bias" and _trains_bias(reading, module, wrapped):
        return Role.BIAS
    if module.split(".")[-1] in EMBEDDINGS and parameter == "weight":
        return Role.EMBEDDING
    return Role.BASE_WEIGHT


def _trains_bias(reading: Reading, module: str, wrapped: bool | None) -> bool:
    """Whether the configuration says that the bias of `module` was trained: all are, or only those of the modules that have a layer of PEFT around them."""
    said = str(reading.raw.get("bias"))
    if not said.endswith("_only"):
        return said == "all"
    return bool(wrapped) or (wrapped is None and any(c.module == module for c in reading.changes))


def _against(base: Base, module: str, parameter: str, tensor: Stored, role: Role) -> Role:
    """The role in the light of what the base holds there: an unchanged copy, a resized embedding, or an overwrite."""
    if base.shape(module, parameter) != tensor.shape:
        return role
    there, here = base.weight(module, parameter), tensor.read()
    same = np.abs(here - there) <= ROUNDING * np.abs(there) + np.finfo(np.float16).smallest_subnormal
    return Role.COPY if bool(same.all()) else Role.BASE_WEIGHT
