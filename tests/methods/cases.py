"""Every method as PEFT makes it: the configurations our deltas are compared on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import peft

LINEARS = ["q_proj", "v_proj", "down_proj"]


@dataclass(frozen=True)
class Case:
    """One adapter to make, save and compare."""

    name: str
    config: Any
    model: str = "llama"
    merges: bool = True
    """Whether PEFT itself can merge it."""
    spread: float = 0.1
    """Standard deviation of the noise every trained weight gets."""
    tolerance: float = 2e-5
    """Largest difference allowed to a merged weight; of logits, a tenfold."""


def lora(name: str, model: str = "llama", **options: Any) -> Case:
    merges = options.pop("merges", True)
    return Case(name, peft.LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": LINEARS, "init_lora_weights": False} | options), model, merges)


CASES = (
    lora("LORA"),
    lora("LORA rsLoRA", use_rslora=True),
    lora("LORA patterns", alpha_pattern={"v_proj": 64}, rank_pattern={"v_proj": 2}),
    lora("LORA DoRA", use_dora=True),
    lora("LORA DoRA biases", "llama-biases", use_dora=True, bias="lora_only"),
    lora("LORA lora_bias", "llama-biases", target_modules=["q_proj", "v_proj"], lora_bias=True),
    lora("LORA bias all", "llama-biases", bias="all"),
    lora("LORA embeddings", target_modules=["embed_tokens", "q_proj"]),
    lora("LORA embeddings DoRA", target_modules=["embed_tokens", "q_proj"], use_dora=True),
    lora("LORA modules_to_save", modules_to_save=["lm_head", "embed_tokens"]),
    lora("LORA tied embeddings", "llama-tied", target_modules=["embed_tokens", "q_proj"], merges=False),
    lora("LORA tied modules_to_save", "llama-tied", modules_to_save=["embed_tokens"], merges=False),
    lora("LORA trained tokens", trainable_token_indices={"embed_tokens": [3, 11, 30]}),
    lora("LORA trained tokens list", trainable_token_indices=[3, 11, 30]),
    lora("LORA tied trained tokens", "llama-tied", trainable_token_indices=[3, 11, 30], merges=False),
    lora("LORA layers", layers_to_transform=[1]),
    lora("LORA gpt2", "gpt2", target_modules=["c_attn", "c_proj"], fan_in_fan_out=True),
    lora("LORA gpt2 DoRA", "gpt2", target_modules=["c_attn", "c_proj"], fan_in_fan_out=True, use_dora=True),
    lora("LORA phi3", "phi3", target_modules=["qkv_proj", "gate_up_proj"]),
    Case("ADALORA", peft.AdaLoraConfig(init_r=6, target_r=4, lora_alpha=16, target_modules=LINEARS, total_step=100)),
)
