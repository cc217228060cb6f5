"""Every PEFT method with its default settings, saved by PEFT itself on a tiny random Llama, and what a real Trainer leaves.

The files are made once in a process of its own, because a scan must never have torch beside it:

    python -m benchmarks.evasions.peft FOLDER
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.evasions.case import Expect, Family

FAMILY = Family("peft")
PROMPT = {"num_virtual_tokens": 8}
METHODS: dict[str, dict[str, Any]] = {
    "LORA": {}, "ADALORA": {"total_step": 100}, "ADAMSS": {}, "ADAPTION_PROMPT": {"adapter_len": 4, "adapter_layers": 2}, "BEFT": {}, "BOFT": {}, "C3A": {}, "CARTRIDGE": PROMPT,
    "CPT": {}, "DEFT": {}, "DELORA": {}, "FOURIERFT": {}, "FROD": {}, "GLORA": {}, "GRALORA": {}, "HIRA": {}, "HRA": {}, "IA3": {}, "LILY": {}, "LN_TUNING": {}, "LOHA": {},
    "LOKR": {}, "MISS": {}, "OFT": {}, "SHIRA": {}, "PROMPT_TUNING": PROMPT, "MULTITASK_PROMPT_TUNING": PROMPT, "OSF": {}, "P_TUNING": PROMPT, "PEANUT": {}, "POLY": {},
    "PREFIX_TUNING": PROMPT, "PSOFT": {}, "PVERA": {}, "RANDLORA": {}, "ROAD": {}, "SHADOW": {}, "SUPERTUNING": {}, "TINYLORA": {}, "UNILORA": {}, "VBLORA": {}, "VERA": {}, "WAVEFT": {},
}  # fmt: skip
"""All of PEFT 0.21's methods but XLORA, which loads other adapters by name, and TRAINABLE_TOKENS, which is below; with what has no default."""
VARIANTS: dict[str, tuple[Expect, dict[str, Any]]] = {
    "all-linear": (Expect.CLEAN, {"target_modules": "all-linear", "r": 16, "lora_alpha": 32}),
    "dora": (Expect.CLEAN, {"use_dora": True}),
    "rslora": (Expect.CLEAN, {"use_rslora": True}),
    "rank-pattern": (Expect.CLEAN, {"rank_pattern": {"q_proj": 4}, "alpha_pattern": {"q_proj": 8}}),
    "classifier": (Expect.CLEAN, {"task_type": "SEQ_CLS"}),
    "lora-bias": (Expect.LOOK, {"lora_bias": True}),
    "saved-head": (Expect.LOOK, {"modules_to_save": ["lm_head"]}),
    "embeddings": (Expect.LOOK, {"target_modules": ["q_proj", "embed_tokens"]}),
    "trained-tokens": (Expect.LOOK, {"trainable_token_indices": [3, 5]}),
    "invocation-tokens": (Expect.LOOK, {"alora_invocation_tokens": [3, 5]}),
    "expert-parameters": (Expect.LOOK, {"target_parameters": ["mlp.down_proj.weight"]}),
}


@functools.cache
def made() -> Path:
    """The folder with every shape, made at the first call and deleted when the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="unmask-peft-")
    _kept.append(folder)
    run = subprocess.run([sys.executable, "-m", __name__, folder.name], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    if run.returncode:
        raise RuntimeError(f"the PEFT shapes could not be made: {run.stderr[-2000:]}")
    return Path(folder.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


def _copy(folder: Path, name: str) -> None:
    shutil.copytree(made() / name, folder, dirs_exist_ok=True)


@FAMILY.each(Expect.CLEAN, {m.lower().replace("_", "-"): m for m in METHODS})
def method(folder: Path, name: str) -> None:
    """An untrained adapter of PEFT's method {}, default settings."""
    _copy(folder, name)


@FAMILY.each(Expect.LOOK, {"trainable-tokens": "TRAINABLE_TOKENS"})
def tokens(folder: Path, name: str) -> None:
    """PEFT's {}: the embeddings of single tokens."""
    _copy(folder, name)


@FAMILY.each(Expect.CLEAN, {n: n for n, (expect, _) in VARIANTS.items() if expect is Expect.CLEAN})
def lora(folder: Path, name: str) -> None:
    """LoRA saved by PEFT: {}."""
    _copy(folder, name)


@FAMILY.each(Expect.LOOK, {n: n for n, (expect, _) in VARIANTS.items() if expect is Expect.LOOK})
def lora_with_more(folder: Path, name: str) -> None:
    """LoRA saved by PEFT with something beside the factors: {}."""
    _copy(folder, name)


@FAMILY.case(Expect.CLEAN)
def trainer(folder: Path) -> None:
    """What a real Trainer's checkpoint holds: arguments, optimizer, scheduler, random state."""
    _copy(folder, "trainer")


@FAMILY.case(Expect.CLEAN)
def saved_by_torch(folder: Path) -> None:
    """adapter_model.bin alone, written by torch.save."""
    _copy(folder, "bin")


def make(folder: Path) -> None:
    """Write every shape into `folder`."""
    import warnings

    import numpy as np
    import torch
    from peft import get_peft_model
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
    from peft.utils import PeftType
    from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, TrainingArguments

    warnings.simplefilter("ignore")
    size = LlamaConfig(vocab_size=64, hidden_size=256, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4, pad_token_id=0)

    def save(name: str, kind: str, fields: dict[str, Any]) -> Any:
        torch.manual_seed(0)
        config = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(kind)](**{"task_type": "CAUSAL_LM", **fields})
        base = (LlamaForSequenceClassification if config.task_type == "SEQ_CLS" else LlamaForCausalLM)(size)
        base.config._name_or_path = "example-org/tiny-llama"
        model = get_peft_model(base, config)
        model.save_pretrained(folder / name)
        return model

    for kind, fields in METHODS.items():
        save(kind, kind, fields)
    save("TRAINABLE_TOKENS", "TRAINABLE_TOKENS", {"token_indices": [3, 5]})
    for name, (_, fields) in VARIANTS.items():
        save(name, "LORA", fields)
    model = save("trainer", "LORA", {})
    model(input_ids=torch.ones(1, 4, dtype=torch.long), labels=torch.ones(1, 4, dtype=torch.long)).loss.backward()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer)
    optimizer.step()
    arguments = TrainingArguments(output_dir=str(folder / "runs"), use_cpu=True)
    torch.save(arguments, folder / "trainer" / "training_args.bin")
    torch.save(optimizer.state_dict(), folder / "trainer" / "optimizer.pt")
    torch.save(scheduler.state_dict(), folder / "trainer" / "scheduler.pt")
    np.random.seed(0)
    torch.save({"numpy": np.random.get_state(), "cpu": torch.random.get_rng_state()}, folder / "trainer" / "rng_state.pth")
    save("bin", "LORA", {}).save_pretrained(folder / "bin", safe_serialization=False)
    (folder / "bin" / "adapter_model.safetensors").unlink()


if __name__ == "__main__":
    make(Path(sys.argv[1]))
