"""LoRA and what grew out of it: rsLoRA, DoRA, LoRA on embeddings, LoRA biases, activated LoRA, KaSA.

Hu et al. 2021, arXiv 2106.09685; Kalajdzievski 2023, arXiv 2312.03732 (rsLoRA); Liu et al. 2024, arXiv 2402.09353 (DoRA);
Greenewald et al. 2025, arXiv 2504.12397 (aLoRA); Wang et al. 2024, arXiv 2412.06071 (KaSA).
"""

from __future__ import annotations

from functools import partial
from typing import Any

from scanner.delta.lowrank import ModuleDelta
from scanner.delta.methods import parameters
from scanner.delta.methods.residual import Part, leading, minor, principal, without
from scanner.delta.methods.scaling import Scales
from scanner.delta.reading import PREFIX, Reading, Role
from scanner.delta.stored import Stored
from scanner.files.text import printable
from scanner.model.base import Base

LARGEST_RANK = 1024

A, B, BIAS = "lora_A.weight", "lora_B.weight", "lora_B.bias"
EMBEDDING_A, EMBEDDING_B = "lora_embedding_A", "lora_embedding_B"
MAGNITUDES = ("lora_magnitude_vector", "lora_magnitude_vector.weight")
DIAGONAL = "lora_diag"
"""KaSA's, between the factors."""
ENDINGS = (A, B, BIAS, EMBEDDING_A, EMBEDDING_B, *MAGNITUDES)

UNREPRODUCED = {
    "arrow_config": "other adapters are mixed in, token by token",
    "layer_replication": "PEFT repeats layers of the base when it loads",
    "monteclora_config": "the delta is drawn at random at each run",
    "use_bdlora": "the factors are block-diagonal, split over devices",
    "use_qalora": "the input is pooled in groups before the factors",
    "velora_config": "the activations are compressed",
}
PARTS: dict[str, Part] = {"pissa": principal, "olora": leading}
"""What PEFT takes out of the base's weight when it loads such an adapter again, by init_lora_weights."""
UNKNOWN_PARTS = {
    "pissa_niter": "the part that PEFT takes out of the base is drawn at random each time it loads",
    "corda": "the part that PEFT takes out of the base depends on texts that are not saved; converted, it is a plain LoRA",
    "loftq": "PEFT puts quantised weights in place of the base's, on a GPU and with bitsandbytes; saved as plain LoRA, it is one",
}
REWRITING = ("pissa", "olora", "corda", "loftq")
MOST_INVOCATION = 256


def read(reading: Reading) -> None:
    """Pair up the factors; what the configuration does besides is refused by name."""
    config, raw = reading.adapter.config, reading.raw
    for field, what in UNREPRODUCED.items():
        if raw.get(field):
            reading.refuse(field, what, whole=True)
    init, kasa = str(raw.get("init_lora_weights")).lower(), raw.get("kasa_config") is not None
    part = minor if kasa else PARTS.get(init)
    if part is None and init.startswith(REWRITING):
        why = next((w for n, w in UNKNOWN_PARTS.items() if init.startswith(n)), "PEFT rewrites the base's weights when it loads")
        reading.refuse(f"init_lora_weights {printable(init, 40)}", why, whole=True)
    elif kasa and (init.startswith(REWRITING) or config.use_dora or config.fan_in_fan_out):
        reading.refuse("kasa_config", "together with DoRA, fan_in_fan_out or an init_lora_weights that rewrites the base, which PEFT does not load", whole=True)
    elif part is not None and reading.base is None:
        reading.refuse("kasa_config" if kasa else f"init_lora_weights {printable(init, 40)}", "PEFT rewrites the base's weights when it loads", whole=True)
    if raw.get("target_parameters") and (part is not None or init.startswith(REWRITING)):
        reading.refuse(
            "target_parameters",
            f"together with {'kasa_config' if kasa else 'init_lora_weights ' + printable(init, 40)}, which rewrites tensors of the base",
            whole=True,
        )
    only_after = _invocation(reading)
    scales = Scales(reading, config, len(reading.free))
    if scales.refused:
        return
    parameters.read(reading, scales)
    for module, tensors in reading.groups(*ENDINGS, *([DIAGONAL] if kasa else [])).items():
        if not config.lora_bias and tensors.pop(BIAS, None) is not None:
            reading.stray(f"{PREFIX}{module}.{BIAS}", f"{module}.lora_B", Role.OTHER)  # PEFT makes no room for it
            if not tensors:
                continue
        why = _flaw(tensors, config.use_dora, kasa) or ("an embedding, which PEFT loads no activated LoRA for" if only_after and EMBEDDING_A in tensors else "")
        if why:
            reading.refuse(module, why)
            continue
        scale = scales.of(module)
        if scale is None:
            continue
        delta = _delta(module, tensors, scale, only_after)
        reading.changes.append(delta if part is None or reading.base is None or EMBEDDING_A in tensors else _rewritten(reading, reading.base, delta, part))


def _invocation(reading: Reading) -> tuple[int, ...]:
    """The tokens from whose last occurrence in a prompt on the delta acts (aLoRA); empty where it always does."""
    tokens = reading.raw.get("alora_invocation_tokens")
    if tokens is None:
        return ()
    if not isinstance(tokens, list) or not 1 <= len(tokens) <= MOST_INVOCATION or not all(type(t) is int and 0 <= t < 2**31 for t in tokens):
        reading.refuse("alora_invocation_tokens", f"not 1 to {MOST_INVOCATION} token ids", whole=True)
    elif reading.adapter.config.use_dora or reading.raw.get("target_parameters"):
        reading.refuse("alora_invocation_tokens", "together with DoRA or target_parameters, which PEFT does not load", whole=True)
    else:
        return tuple(tokens)
    return ()


def _rewritten(reading: Reading, base: Base, delta: ModuleDelta, part: Part) -> ModuleDelta:
    """The delta together with what PEFT takes out of the base."""
    if base.shape(delta.module) != delta.shape or not delta.exact or delta.scale <= 0 or delta.rank > min(delta.shape) - (part is minor) or delta.only_after:
        reading.refuse(delta.module, "what PEFT takes out of the base's weight cannot be computed", whole=True)
        return delta
    return without(delta, partial(base.weight, delta.module), part)


def _flaw(tensors: dict[str, Stored], dora: bool, kasa: bool) -> str:
    """Why the tensors of one module are not a delta, or an empty string."""
    linear, embedded = A in tensors or B in tensors or BIAS in tensors, EMBEDDING_A in tensors or EMBEDDING_B in tensors
    if linear and embedded:
        return "factors of a linear module and of an embedding at once"
    first, second = (EMBEDDING_A, EMBEDDING_B) if embedded else (A, B)
    missing = [n for n in (first, second) if n not in tensors]
    if missing:
        return f"{missing[0]} is missing, so the pair has no meaning"
    a, b = tensors[first].shape, tensors[second].shape
    if len(a) == 2 and len(b) == 3 and b[2] == 1:
        return f"{first} {list(a)} and {second} {list(b)} are those of a fused projection as PEFT before 0.3 kept them (enable_lora), which it no longer loads"
    if len(a) != 2 or len(b) != 2 or a[0] != b[1] or not 1 <= a[0] <= LARGEST_RANK or not (a[1] and b[0]):
        return f"{first} {list(a)} and {second} {list(b)} are not factors of rank 1 to {LARGEST_RANK:,}"
    magnitudes = [tensors[n] for n in MAGNITUDES if n in tensors]
    if len(magnitudes) > 1:
        return "a second magnitude vector, so loaders would disagree about its value"
    if dora != bool(magnitudes) or (magnitudes and magnitudes[0].count != b[0]):
        return f"use_dora is {dora}, and the magnitude vector is {list(magnitudes[0].shape) if magnitudes else 'missing'}"
    if kasa and (embedded or DIAGONAL not in tensors or tensors[DIAGONAL].shape != (a[0],)):
        return f"kasa_config, and {DIAGONAL} is {list(tensors[DIAGONAL].shape) if DIAGONAL in tensors else 'missing'}"
    if BIAS in tensors and tensors[BIAS].shape != (b[0],):
        return f"{BIAS} {list(tensors[BIAS].shape)} is no bias of {b[0]} outputs"
    return ""


def _delta(module: str, tensors: dict[str, Stored], scale: float, only_after: tuple[int, ...]) -> ModuleDelta:
    magnitude = next((tensors[n].flat for n in MAGNITUDES if n in tensors), None)
    if EMBEDDING_A in tensors:
        # PEFT adds (B A)^T to an embedding, whose rows are tokens: its A^T is what writes the rows.
        a, b = tensors[EMBEDDING_B].transposed, tensors[EMBEDDING_A].transposed
        return ModuleDelta(module=module, a=a, b=b, scale=scale, magnitude=magnitude, columns=True)
    a = tensors[A]
    if DIAGONAL in tensors:
        inner, diagonal = a, tensors[DIAGONAL]
        a = Stored(inner.shape, lambda: inner.read() * diagonal.read()[:, None])
    return ModuleDelta(module=module, a=a, b=tensors[B], scale=scale, magnitude=magnitude, bias=tensors.get(BIAS), only_after=only_after)


def named(raw: dict[str, Any]) -> str:
    """What this LoRA is called."""
    if raw.get("alora_invocation_tokens"):
        return "aLoRA"
    if raw.get("kasa_config") is not None:
        return "KaSA"
    return "DoRA" if raw.get("use_dora") else "rsLoRA" if raw.get("use_rslora") else "LoRA"
