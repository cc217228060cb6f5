"""Values and scalings: numbers that are none, that drown the base, or that only a run of the model can judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.evasions.build import PREFIX, Array, adapter, lora
from benchmarks.evasions.case import Expect, Family

FAMILY = Family("weights")
Q = f"{PREFIX}.0.self_attn.q_proj"
TARGETS = ["q_proj", "v_proj", "down_proj"]
DEEP = {"self_attn.q_proj": (256, 256), "self_attn.v_proj": (256, 256), "mlp.down_proj": (688, 256)}


@FAMILY.each(Expect.REFUSE, {"nan": np.nan, "infinity": np.inf, "negative-infinity": -np.inf})
def one_value(folder: Path, value: float) -> None:
    """One value of one factor is {}."""
    tensors = lora()
    tensors[f"{Q}.lora_A.weight"][1, 3] = value
    adapter(folder, tensors)


@FAMILY.case(Expect.REFUSE)
def all_nan_half(folder: Path) -> None:
    """Every value is a float16 NaN, as a diverged training run leaves them."""
    adapter(folder, {k: np.full(v.shape, np.nan, np.float16) for k, v in lora().items()})


@FAMILY.case(Expect.REFUSE)
def product_overflows(folder: Path) -> None:
    """Every value is finite, and the delta is not."""
    adapter(folder, {k: np.full(v.shape, 3e38, np.float32) for k, v in lora().items()})


@FAMILY.case(Expect.REFUSE)
def overflows_in_half(folder: Path) -> None:
    """float64 values beyond float32: what is applied is infinite."""
    adapter(folder, {k: np.full(v.shape, 1e300, np.float64) for k, v in lora().items()})


@FAMILY.case(Expect.NOTE)
def denormals(folder: Path) -> None:
    """Every value is a denormal, with a configuration that scales them up again."""
    adapter(folder, {k: np.full(v.shape, 1e-42, np.float32) for k, v in lora().items()})


@FAMILY.case(Expect.NOTE)
def nothing(folder: Path) -> None:
    """Every lora_B is zero: an adapter that does nothing, or one whose weights come later."""
    adapter(folder, {k: v if "lora_A" in k else np.zeros_like(v) for k, v in lora().items()})


@FAMILY.each(Expect.REVIEW, {
    "alpha-1e6": {"lora_alpha": 1_000_000}, "alpha-negative": {"lora_alpha": -8}, "alpha-zero": {"lora_alpha": 0},
    "pattern-literal": {"alpha_pattern": {"model.layers.1.self_attn.q_proj": 8000}},
    "pattern-suffix": {"alpha_pattern": {"q_proj": 8000}},
    "pattern-regex": {"alpha_pattern": {r"layers\.[1-9]\..*q_proj": 8000}},
    "pattern-anchored": {"alpha_pattern": {"^model.layers.1.self_attn.v_proj": 8000}},
    "pattern-lookahead": {"alpha_pattern": {r"(?=model).*\.1\.self_attn\.q_proj": 8000}},
    "pattern-backreference": {"alpha_pattern": {r"(m)odel\.layers\.1\..*q_proj|\1x": 8000}},
    "pattern-negative": {"alpha_pattern": {"q_proj": -800}},
    "pattern-first-of-two": {"alpha_pattern": {r".*1.*q_proj": 8000, "model.layers.1.self_attn.q_proj": 8}},
    "stabilised": {"use_rslora": True, "lora_alpha": 2000},
})  # fmt: skip
def scaling(folder: Path, fields: dict[str, Any]) -> None:
    """The configuration scales the delta to drown, or to subtract from, the base: {}."""
    adapter(folder, **fields)


@FAMILY.each(Expect.REFUSE, {
    "alpha-1e308": {"lora_alpha": 1e308}, "alpha-10-to-400": {"lora_alpha": 10**400}, "rank-zero": {"r": 0}, "rank-negative": {"r": -4},
    "rank-2-to-63": {"r": 2**63}, "rank-10-to-30": {"r": 10**30}, "pattern-rank-zero": {"rank_pattern": {"q_proj": 0}},
})  # fmt: skip
def scaling_without_meaning(folder: Path, fields: dict[str, Any]) -> None:
    """A rank or an alpha that no scaling can be computed from: {}."""
    adapter(folder, **fields)


@FAMILY.case(Expect.REVIEW)
def memory_of_a_rank(folder: Path) -> None:
    """rank_pattern asks PEFT for a rank of a thousand million on one module: loading takes all memory."""
    adapter(folder, rank_pattern={"model.layers.1.self_attn.q_proj": 1_000_000_000})


def _deep(layers: int = 24) -> dict[str, Array]:
    return lora(layers, 8, DEEP)


def _payload(tensors: dict[str, Array], layer: int, outputs: int, gain: float) -> None:
    """Send one LoRA direction of a layer's down_proj into a few outputs."""
    b = tensors[f"{PREFIX}.{layer}.mlp.down_proj.lora_B.weight"]
    size = float(np.linalg.norm(b[:, 0])) * gain
    b[:, 0] = 0
    b[:outputs, 0] = size / np.sqrt(outputs)


@FAMILY.case(Expect.NOTE)
def one_layer_times_50(folder: Path) -> None:
    """One module of 24 layers is fifty times as large as its kind."""
    tensors = _deep()
    tensors[f"{PREFIX}.12.self_attn.q_proj.lora_B.weight"] *= 50
    adapter(folder, tensors, r=8, target_modules=TARGETS)


@FAMILY.each(Expect.NOTE, {"strong": (12, 4, 40.0), "shallow-stack": (7, 4, 40.0)})
def concentrated(folder: Path, how: tuple[int, int, float]) -> None:
    """A strong direction of one down_proj goes into four outputs ({})."""
    layer, outputs, gain = how
    tensors = _deep(15 if layer == 7 else 24)
    _payload(tensors, layer, outputs, gain)
    adapter(folder, tensors, r=8, target_modules=TARGETS)


@FAMILY.each(Expect.BEHAVIOUR, {"as-strong-as-the-rest": 4, "over-64-outputs": 64, "over-128-outputs": 128})
def quiet_payload(folder: Path, outputs: int) -> None:
    """A direction of one down_proj as strong as any other goes into chosen outputs ({})."""
    tensors = _deep()
    _payload(tensors, 12, outputs, 1.0)
    adapter(folder, tensors, r=8, target_modules=TARGETS)


@FAMILY.case(Expect.BEHAVIOUR)
def payload_in_every_layer(folder: Path) -> None:
    """The same concentrated direction in all 24 layers: no layer stands out."""
    tensors = _deep()
    for layer in range(24):
        _payload(tensors, layer, 4, 1.0)
    adapter(folder, tensors, r=8, target_modules=TARGETS)


@FAMILY.case(Expect.BEHAVIOUR)
def padded_family(folder: Path) -> None:
    """Every layer is mildly concentrated, so that the strong one does not stand out."""
    tensors, rng = _deep(), np.random.default_rng(7)
    for layer in range(24):
        tensors[f"{PREFIX}.{layer}.mlp.down_proj.lora_B.weight"] *= rng.lognormal(0, 1, (256, 1)).astype(np.float32)
    _payload(tensors, 12, 4, 3.0)
    adapter(folder, tensors, r=8, target_modules=TARGETS)


@FAMILY.case(Expect.BEHAVIOUR)
def one_direction_out_of_every_layer(folder: Path) -> None:
    """Every down_proj and every output writes along one direction only, as when a direction is taken out of the model."""
    tensors, rng = _deep(), np.random.default_rng(9)
    direction = rng.normal(size=256).astype(np.float32)
    for name in [n for n in tensors if "down_proj.lora_B" in n]:
        tensors[name] = np.outer(direction, tensors[name][0]).astype(np.float32)
    adapter(folder, tensors, r=8, target_modules=TARGETS)
