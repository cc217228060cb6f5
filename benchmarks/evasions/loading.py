"""Tensors whose names make loaders apply something other than what is examined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.evasions.build import BASE, CARD, CONFIG, PREFIX, WEIGHTS, WIDTH, Array, adapter, config, lora, safetensors, torch_zip, write
from benchmarks.evasions.case import Expect, Family
from benchmarks.evasions.payload import state

FAMILY = Family("loading")
SQUARE = np.random.default_rng(5).normal(size=(WIDTH, WIDTH)).astype(np.float32)
ROW = np.ones(WIDTH, np.float32)
MODEL = "base_model.model.model"
Q = f"{PREFIX}.0.self_attn.q_proj"


@FAMILY.each(Expect.BLOCK, {
    "down-proj": (f"{PREFIX}.0.mlp.down_proj.weight", SQUARE),
    "base-layer": (f"{Q}.base_layer.weight", SQUARE),
    "base-layer-bias": (f"{Q}.base_layer.bias", ROW),
    "norm": (f"{MODEL}.norm.weight", ROW),
    "layer-norm": (f"{PREFIX}.1.input_layernorm.weight", ROW),
    "head-bias": ("base_model.model.lm_head.bias", ROW),
    "router": (f"{PREFIX}.0.mlp.gate.weight", SQUARE),
    "experts": (f"{PREFIX}.0.mlp.experts.gate_up_proj", SQUARE),
    "gpt2": ("base_model.model.transformer.h.0.mlp.c_fc.weight", SQUARE),
    "no-suffix": (f"{PREFIX}.0.self_attn.sinks", ROW),
    "original-module": (f"{MODEL}.norm.original_module.weight", ROW),
})  # fmt: skip
def overwrite(folder: Path, item: tuple[str, Array]) -> None:
    """A tensor under the base's own name, which PEFT copies into the base: {}."""
    adapter(folder, lora() | dict([item]))


@FAMILY.each(Expect.REVIEW, {
    "embeddings": (f"{MODEL}.embed_tokens.weight", SQUARE),
    "head": ("base_model.model.lm_head.weight", SQUARE),
    "unprefixed": ("model.layers.0.mlp.down_proj.weight", SQUARE),
    "half-prefixed": ("base_model.model.layers.0.mlp.down_proj.weight", SQUARE),
    "targeted-module": (f"{Q}.weight", SQUARE),
    "buffer": (f"{MODEL}.rotary_emb.inv_freq", ROW),
    "quantised": (f"{PREFIX}.0.mlp.down_proj.qweight", SQUARE),
})  # fmt: skip
def overwrite_of_some_loaders(folder: Path, item: tuple[str, Array]) -> None:
    """A base weight that some loaders take and others drop, or that PEFT saves where a vocabulary grew: {}."""
    adapter(folder, lora() | dict([item]))


@FAMILY.each(Expect.REVIEW, {
    "model": ["model"], "layers": ["layers"], "self-attn": ["self_attn"], "down-proj": ["down_proj"], "digit": ["0"], "norm": ["norm"], "empty": [""], "q-proj": ["q_proj"],
})  # fmt: skip
def saved_modules(folder: Path, names: list[str]) -> None:
    """modules_to_save declares a part of the base that no head training needs ({}), and the file replaces it."""
    adapter(folder, lora() | {f"{PREFIX}.0.mlp.down_proj.weight": SQUARE, f"{MODEL}.norm.weight": ROW}, modules_to_save=names)


@FAMILY.each(Expect.NOTE, {"head": "lm_head", "embeddings": "model.embed_tokens"})
def saved_head(folder: Path, name: str) -> None:
    """modules_to_save replaces the {}, as honest adapters with new tokens do; the file stage cannot say which this is."""
    adapter(folder, lora() | {f"base_model.model.{name}.weight": SQUARE}, modules_to_save=[name.rpartition(".")[2]])


def _decoys(name: str, first: bool) -> dict[str, Array]:
    """A loud delta under PEFT's own names and a quiet one under an adapter's name, in one order or the other."""
    loud = {k: v * 50 for k, v in lora().items()}
    quiet = {k.replace(".weight", f".{name}.weight"): v for k, v in lora(seed=3).items()}
    return quiet | loud if first else loud | quiet


@FAMILY.each(Expect.BLOCK, {"other": ("other", False), "before": ("zzz", True), "default": ("default", False), "dotted": ("a.b", False)})
def decoy(folder: Path, order: tuple[str, bool]) -> None:
    """A harmless pair named for another adapter hides the pair that is loaded ({})."""
    adapter(folder, _decoys(*order))


@FAMILY.each(Expect.REVIEW, {
    "wrapped": ("base_model.model.base_model.model.model.layers.0.self_attn.k_proj", True),
    "unprefixed": ("model.layers.0.self_attn.k_proj", True),
    "diffusers": ("text_model.layers.0.self_attn.k_proj", True),
    "no-weight": (f"{PREFIX}.0.self_attn.k_proj", False),
})  # fmt: skip
def pair_named(folder: Path, how: tuple[str, bool]) -> None:
    """A second delta under names that loaders disagree about: {}."""
    stem, suffix = how
    extra = {f"{stem}.lora_{side}{'.weight' if suffix else ''}": SQUARE[:4] if side == "A" else SQUARE[:, :4].copy() for side in "AB"}
    adapter(folder, lora() | extra)


@FAMILY.each(Expect.REVIEW, {"spaces": " ", "capitals": "Q_PROJ", "full-width": "\uff51_proj", "cyrillic": "q_\u0440roj"})
def look_alike(folder: Path, name: str) -> None:
    """A module's name differs from the real one by what a reader does not see ({})."""
    twin = {k.replace("q_proj", name if name != " " else "q_proj "): v * 10 for k, v in lora().items() if "q_proj" in k}
    adapter(folder, lora() | twin)


@FAMILY.case(Expect.REFUSE)
def half_a_pair(folder: Path) -> None:
    """lora_B of one module is missing."""
    adapter(folder, {k: v for k, v in lora().items() if k != f"{Q}.lora_B.weight"})


@FAMILY.each(Expect.REFUSE, {"inner": (4, 3), "three-sides": (WIDTH, 4, 1), "zero": (0, 4)})
def factor_shape(folder: Path, shape: tuple[int, ...]) -> None:
    """Factors that do not multiply ({})."""
    adapter(folder, lora() | {f"{Q}.lora_B.weight": np.zeros(shape, np.float32)})


@FAMILY.case(Expect.REVIEW)
def ranks_differ_from_the_configuration(folder: Path) -> None:
    """The tensors have rank 8, the configuration says 4: PEFT refuses, other loaders scale by the wrong rank."""
    adapter(folder, lora(rank=8), r=4)


@FAMILY.case(Expect.REVIEW)
def one_rank_differs(folder: Path) -> None:
    """One module has twice the rank, as when a second adapter is concatenated into it."""
    tensors = lora()
    for key in (f"{Q}.lora_A.weight", f"{Q}.lora_B.weight"):
        tensors[key] = np.concatenate([tensors[key], tensors[key]], 0 if "lora_A" in key else 1)
    adapter(folder, tensors)


@FAMILY.case(Expect.REVIEW)
def rank_over_every_limit(folder: Path) -> None:
    """Rank 2,048 on a module of width 16."""
    adapter(folder, lora(layers=1, rank=2048), r=2048)


@FAMILY.case(Expect.REVIEW)
def untargeted_module(folder: Path) -> None:
    """The file holds a delta for a module that target_modules does not name: PEFT drops it, vLLM applies it."""
    adapter(folder, target_modules=["v_proj"])


@FAMILY.case(Expect.REVIEW)
def excluded_module(folder: Path) -> None:
    """exclude_modules takes away half of what the file holds."""
    adapter(folder, exclude_modules=["q_proj"])


@FAMILY.case(Expect.REVIEW)
def layer_not_transformed(folder: Path) -> None:
    """layers_to_transform leaves out a layer whose delta is in the file."""
    adapter(folder, layers_to_transform=[0])


@FAMILY.each(Expect.REVIEW, {"bin": "adapter_model.bin", "pt": "adapter_model.pt"})
def second_file(folder: Path, name: str) -> None:
    """An {} with other tensors beside the safetensors file."""
    write(adapter(folder), name, torch_zip(state({f"{Q}.lora_A.weight": (4, 4)})))


@FAMILY.case(Expect.REVIEW)
def second_container(folder: Path) -> None:
    """model.safetensors with a whole weight of the base lies beside the adapter."""
    write(adapter(folder), "model.safetensors", safetensors({"model.layers.0.mlp.down_proj.weight": SQUARE}))


@FAMILY.each(
    Expect.REVIEW, {"traversal": "../../other/adapter_model.safetensors", "absolute": "/etc/hostname", "missing": "adapter_model-00002-of-00002.safetensors"}
)
def index_to(folder: Path, name: str) -> None:
    """A shard index names a file that is not in the folder ({})."""
    write(adapter(folder), "adapter_model.safetensors.index.json", {"metadata": {}, "weight_map": {f"{Q}.lora_A.weight": WEIGHTS, "x": name}})


@FAMILY.each(Expect.BLOCK, {"named-adapter": "assistant", "checkpoint": "checkpoint-500", "deep": "a/b/c"})
def subfolder(folder: Path, name: str) -> None:
    """A second adapter in a subfolder overwrites the base ({})."""
    adapter(folder)
    adapter(folder / name, lora() | {f"{PREFIX}.0.mlp.down_proj.weight": SQUARE})


@FAMILY.case(Expect.REVIEW)
def trained_tokens(folder: Path) -> None:
    """The embeddings of chosen tokens are replaced: exactly what a trigger needs."""
    adapter(folder, lora() | {f"{MODEL}.embed_tokens.token_adapter.trainable_tokens_delta": SQUARE[:2]}, trainable_token_indices=[3, 5])


@FAMILY.case(Expect.REVIEW)
def embedding_factors_and_the_embeddings(folder: Path) -> None:
    """Embeddings of the base are brought along though no embedding is adapted."""
    adapter(folder, lora() | {f"{MODEL}.embed_tokens.base_layer.weight": SQUARE})


@FAMILY.each(Expect.REVIEW, {"times-100": 100.0, "negative": -1.0, "not-finite": float("nan")})
def magnitude(folder: Path, factor: float) -> None:
    """DoRA magnitudes that no training leaves: {}."""
    extra = {k.replace("lora_A.weight", "lora_magnitude_vector"): ROW * 4 * np.float32(factor) for k in lora() if "lora_A" in k}
    adapter(folder, lora() | extra, use_dora=True)


@FAMILY.case(Expect.REVIEW)
def magnitude_undeclared(folder: Path) -> None:
    """Magnitude vectors in the file while use_dora is false: loaders disagree about them."""
    adapter(folder, lora() | {k.replace("lora_A.weight", "lora_magnitude_vector"): ROW for k in lora() if "lora_A" in k})


@FAMILY.case(Expect.REVIEW)
def bias_of_the_factor(folder: Path) -> None:
    """lora_B carries a bias that the configuration does not declare."""
    adapter(folder, lora() | {f"{Q}.lora_B.bias": ROW * 10})


def method(folder: Path, kind: str, tensors: dict[str, Array], **fields: Any) -> None:
    """An adapter of another PEFT method with a weight of the base in its file."""
    folder.mkdir(parents=True, exist_ok=True)
    own = {"peft_type": kind, "base_model_name_or_path": BASE, "target_modules": ["q_proj"], "task_type": "CAUSAL_LM", "inference_mode": True}
    write(folder, CONFIG, own | fields)
    write(folder, WEIGHTS, safetensors(tensors | {f"{PREFIX}.0.mlp.down_proj.weight": SQUARE}))
    write(folder, CARD, f"---\nbase_model: {BASE}\nlicense: apache-2.0\n---\n# An adapter\n")


@FAMILY.each(Expect.REFUSE, {
    "ia3": ("IA3", {f"{Q}.ia3_l": ROW.reshape(-1, 1)}, {"feedforward_modules": []}),
    "loha": ("LOHA", {f"{Q}.hada_w{i}_{s}": SQUARE[:, :4].copy() if s == "a" else SQUARE[:4] for i in (1, 2) for s in "ab"}, {"r": 4, "alpha": 4}),
    "vera": ("VERA", {f"{Q}.vera_lambda_b": ROW, f"{Q}.vera_lambda_d": ROW[:4]}, {"r": 4}),
    "prompt-tuning": ("PROMPT_TUNING", {"prompt_embeddings": SQUARE[:8]}, {"num_virtual_tokens": 8}),
    "adalora": ("ADALORA", {f"{Q}.lora_A": SQUARE[:4], f"{Q}.lora_B": SQUARE[:, :4].copy(), f"{Q}.lora_E": ROW[:4].reshape(-1, 1)}, {"r": 4}),
})  # fmt: skip
def overwrite_by_method(folder: Path, parts: tuple[str, dict[str, Array], dict[str, Any]]) -> None:
    """An {} adapter that also overwrites a weight of the base."""
    kind, tensors, fields = parts
    method(folder, kind, tensors, **fields)


def kohya(alpha: float | None = 4.0, factor: float = 1.0) -> dict[str, Array]:
    """LoRA factors under kohya's names."""
    made: dict[str, Array] = {}
    for layer in range(2):
        stem = f"lora_te_text_model_encoder_layers_{layer}_self_attn_q_proj"
        made[f"{stem}.lora_down.weight"] = SQUARE[:4] * np.float32(factor)
        made[f"{stem}.lora_up.weight"] = SQUARE[:, :4].copy() * np.float32(0.02)
        if alpha is not None:
            made[f"{stem}.alpha"] = np.array(alpha, np.float32)
    return made


@FAMILY.each(Expect.REVIEW, {"1e6": 1e6, "negative": -4.0, "not-finite": float("nan")})
def kohya_alpha(folder: Path, alpha: float) -> Path:
    """A kohya LoRA whose alpha tensor is {}."""
    return write(folder, "style.safetensors", safetensors(kohya(alpha)))


@FAMILY.case(Expect.REVIEW)
def kohya_with_a_weight_of_the_base(folder: Path) -> Path:
    """A kohya LoRA file that also holds a whole weight."""
    return write(folder, "style.safetensors", safetensors(kohya() | {"text_model.encoder.layers.0.mlp.fc1.weight": SQUARE}))


@FAMILY.case(Expect.REVIEW)
def two_configurations(folder: Path) -> None:
    """Adapter_Config.json beside adapter_config.json: which one is read depends on the file system."""
    write(adapter(folder), "Adapter_Config.json", config(lora_alpha=8000))
