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
    lora("LORA trained tokens", trainable_token_indices={"embed_tokens": [7, 14, 35]}),
    lora("LORA trained tokens list", trainable_token_indices=[7, 14, 35]),
    lora("LORA tied trained tokens", "llama-tied", trainable_token_indices=[7, 14, 35], merges=False),
    lora("LORA layers", layers_to_transform=[1]),
    lora("LORA gpt2", "gpt2", target_modules=["c_attn", "c_proj"], fan_in_fan_out=True),
    lora("LORA gpt2 DoRA", "gpt2", target_modules=["c_attn", "c_proj"], fan_in_fan_out=True, use_dora=True),
    lora("LORA phi3", "phi3", target_modules=["qkv_proj", "gate_up_proj"]),
    lora("LORA experts", "mixtral", target_modules=["q_proj"], target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]),
    lora("LORA experts qwen3", "qwen3-moe", target_modules=[], target_parameters=["experts.down_proj"], rank_pattern={"down_proj": 2}),
    lora("LORA experts transposed", "gpt-oss", target_modules=["q_proj"], target_parameters=["experts.gate_up_proj", "experts.down_proj"]),
    lora("LORA router", "mixtral", target_modules=["q_proj"], target_parameters=["mlp.gate.weight"]),
    lora("LORA router qwen3", "qwen3-moe", target_modules=[], target_parameters=["gate.weight", "experts.gate_up_proj"]),
    lora("LORA router gpt-oss", "gpt-oss", target_modules=["q_proj"], target_parameters=["router.weight"]),
    lora("LORA router modules_to_save", "mixtral", target_modules=["q_proj"], modules_to_save=["gate"]),
    lora("LORA PiSSA", init_lora_weights="pissa"),
    lora("LORA PiSSA gpt2", "gpt2", target_modules=["c_attn", "c_proj"], fan_in_fan_out=True, init_lora_weights="pissa"),
    lora("LORA OLoRA", init_lora_weights="olora"),
    lora("LORA KaSA", kasa_config={}, init_lora_weights=True),
    lora("LORA MiCA", init_lora_weights="mica"),
    lora("LORA EVA", init_lora_weights="eva"),
    Case("ADALORA", peft.AdaLoraConfig(init_r=6, target_r=4, lora_alpha=16, target_modules=LINEARS, total_step=100)),
    Case("LOHA", peft.LoHaConfig(r=2, alpha=4, target_modules=LINEARS, init_weights=False)),
    Case("LOHA wide", peft.LoHaConfig(r=6, alpha=4, target_modules=LINEARS, init_weights=False, rank_pattern={"v_proj": 5}, alpha_pattern={"v_proj": 9})),
    Case("LOKR", peft.LoKrConfig(r=2, alpha=4, target_modules=LINEARS, init_weights=False)),
    Case("LOKR decomposed", peft.LoKrConfig(r=1, alpha=4, target_modules=LINEARS, init_weights=False, decompose_both=True, decompose_factor=4)),
    Case("IA3", peft.IA3Config(target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"], init_ia3_weights=False)),
    Case("IA3 gpt2", peft.IA3Config(target_modules=["c_attn", "mlp.c_proj"], feedforward_modules=["mlp.c_proj"], fan_in_fan_out=True), "gpt2"),
    Case("VERA", peft.VeraConfig(r=4, target_modules=LINEARS)),
    Case("VBLORA", peft.VBLoRAConfig(r=4, num_vectors=12, vector_length=8, topk=2, target_modules=["q_proj", "v_proj"]), spread=1.0),
    Case("RANDLORA", peft.RandLoraConfig(r=4, target_modules=LINEARS, randlora_alpha=8)),
    Case("OFT", peft.OFTConfig(oft_block_size=8, target_modules=LINEARS)),
    Case("OFT shared", peft.OFTConfig(oft_block_size=8, target_modules=LINEARS, block_share=True)),
    Case("OFT exact", peft.OFTConfig(oft_block_size=8, target_modules=LINEARS, use_cayley_neumann=False)),
    Case("OFT terms", peft.OFTConfig(oft_block_size=8, target_modules=LINEARS, num_cayley_neumann_terms=3)),
    Case("OFT constrained", peft.OFTConfig(oft_block_size=8, target_modules=LINEARS, coft=True, eps=0.3)),
    Case("BOFT", peft.BOFTConfig(boft_block_size=8, target_modules=LINEARS)),
    Case("BOFT biases", peft.BOFTConfig(boft_block_size=8, target_modules=["q_proj", "v_proj"]), "llama-biases"),
    Case("HRA", peft.HRAConfig(r=4, target_modules=LINEARS)),
    Case("HRA orthogonal", peft.HRAConfig(r=4, target_modules=LINEARS, apply_GS=True)),
    Case("ROAD", peft.RoadConfig(variant="road_1", group_size=8, target_modules=["q_proj", "v_proj"])),
    Case("ROAD 2", peft.RoadConfig(variant="road_2", group_size=8, target_modules=["q_proj", "v_proj"]), "llama-biases"),
    Case("ROAD 4", peft.RoadConfig(variant="road_4", group_size=8, target_modules=["q_proj", "v_proj"])),
    Case("FOURIERFT", peft.FourierFTConfig(n_frequency=40, scaling=20.0, target_modules=LINEARS)),
    Case("C3A", peft.C3AConfig(block_size=8, target_modules=LINEARS, init_weights=False)),
    Case("SHIRA", peft.ShiraConfig(r=2, target_modules=LINEARS)),
    Case("HIRA", peft.HiraConfig(r=4, target_modules=LINEARS, init_weights=False)),
    Case("MISS", peft.MissConfig(r=8, target_modules=LINEARS)),
    Case("MISS rest", peft.MissConfig(r=5, target_modules=LINEARS)),
    Case("MISS bat", peft.MissConfig(r=8, target_modules=LINEARS, init_weights="bat")),
    Case("MISS mini", peft.MissConfig(r=8, mini_r=4, target_modules=LINEARS, init_weights="mini")),
    Case("DELORA", peft.DeloraConfig(r=4, delora_lambda=3, target_modules=LINEARS)),
    Case("GRALORA", peft.GraloraConfig(r=4, alpha=8, gralora_k=2, target_modules=LINEARS)),
    Case("GRALORA hybrid", peft.GraloraConfig(r=4, alpha=8, hybrid_r=2, gralora_k=2, target_modules=LINEARS)),
    Case("LN_TUNING", peft.LNTuningConfig(target_modules=["input_layernorm", "norm"])),
    Case("LN_TUNING gpt2", peft.LNTuningConfig(target_modules=["ln_1", "ln_f"]), "gpt2"),
    Case("BEFT", peft.BeftConfig(target_modules=["v_proj"]), "llama-biases"),
    Case("CPT", peft.CPTConfig(task_type="CAUSAL_LM", cpt_token_ids=[3, 4, 5], cpt_mask=[1, 1, 1], cpt_tokens_type_mask=[1, 2, 3]), merges=False),
    Case("CARTRIDGE", peft.CartridgeConfig(task_type="CAUSAL_LM", num_virtual_tokens=5), merges=False, spread=0.5),
    Case("MULTITASK_PROMPT_TUNING", peft.MultitaskPromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5, num_tasks=1), merges=False, spread=2.0),
    Case("DEFT", peft.DeftConfig(r=4, target_modules=LINEARS)),
    Case("DEFT QR", peft.DeftConfig(r=4, target_modules=LINEARS, decomposition_method="qr", alpha=6)),
    Case("DEFT PaRa", peft.DeftConfig(r=4, target_modules=LINEARS, para=True)),
    Case("DEFT gpt2", peft.DeftConfig(r=4, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True), "gpt2"),
    Case("PEANUT", peft.PeanutConfig(r=4, target_modules=LINEARS, depth=2)),
    Case("PEANUT plain", peft.PeanutConfig(r=4, target_modules=LINEARS, act_fn="silu", scaling=3.0)),
    Case("OSF", peft.OSFConfig(target_modules=LINEARS)),
    Case("FROD", peft.FrodConfig(target_modules=LINEARS, progressbar=False), tolerance=1e-4),
    Case("TINYLORA", peft.TinyLoraConfig(target_modules=LINEARS)),
    Case("TINYLORA tied", peft.TinyLoraConfig(target_modules=LINEARS, weight_tying=0.5, r=4, u=3)),
    Case("TINYLORA one", peft.TinyLoraConfig(target_modules=LINEARS, weight_tying=1.0)),
    Case("GLORA", peft.GloraConfig(r=4, target_modules=["q_proj", "down_proj"]), "llama-biases"),
    Case("GLORA vectors", peft.GloraConfig(r=4, target_modules=["q_proj"], config_A_B="vector", config_C="vector", config_D_E="vector"), "llama-biases"),
    Case("GLORA numbers", peft.GloraConfig(r=4, target_modules=["q_proj"], config_A_B="constant", config_C="none"), "llama-biases"),
    Case("PVERA", peft.PveraConfig(r=4, target_modules=LINEARS)),
    Case("UNILORA", peft.UniLoraConfig(r=2, theta_d_length=64, target_modules=LINEARS, save_indices=True)),
    Case("WAVEFT", peft.WaveFTConfig(n_frequency=40, target_modules=LINEARS)),
    Case("WAVEFT direct", peft.WaveFTConfig(n_frequency=40, target_modules=LINEARS, use_idwt=False)),
    Case("SUPERTUNING", peft.SupertuningConfig(target_modules=LINEARS, sparsity=0.9)),
    Case("SUPERTUNING LoRA", peft.SupertuningConfig(target_modules=LINEARS, sparsity=0.9, r=2, lora_alpha=6)),
    Case("TRAINABLE_TOKENS", peft.TrainableTokensConfig(token_indices=[7, 14, 35], target_modules=["embed_tokens"])),
    Case("TRAINABLE_TOKENS tied", peft.TrainableTokensConfig(token_indices=[7, 14, 35], target_modules=["embed_tokens"]), "llama-tied", merges=False),
    Case("PROMPT_TUNING", peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5), merges=False),
    Case("P_TUNING", peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=5, encoder_hidden_size=16), merges=False),
    Case("PREFIX_TUNING", peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5), merges=False, spread=0.5),
    Case("PREFIX_TUNING gpt2", peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5), "gpt2", merges=False, spread=0.5),
)
ACTIVATED = lora("LORA aLoRA", alora_invocation_tokens=[7, 9], task_type="CAUSAL_LM", merges=False)
"""Not among the others: what it does to a prompt depends on where its tokens stand there."""
