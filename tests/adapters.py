"""Small real adapters and bases, built file by file."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from scanner.delta import delta as deltas
from scanner.demo.base import shipped
from scanner.files.adapter import Adapter
from scanner.finding import Finding
from scanner.model.base import Base
from scanner.policy import Policy
from scanner.probe import Probe
from scanner.profile import PROFILES
from scanner.progress import Reporter
from scanner.subject import Subject
from scanner.trust import Trust

CONFIG: dict[str, Any] = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "base_model_name_or_path": "org/tiny"}
MODULE = "base_model.model.model.layers.{}.self_attn.q_proj"


def tensors(layers: int = 2, rank: int = 2, width: int = 8, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """LoRA factors of q_proj in every layer."""
    rng = np.random.default_rng(seed)
    made = {}
    for layer in range(layers):
        made[f"{MODULE.format(layer)}.lora_A.weight"] = rng.normal(size=(rank, width)).astype(np.float32)
        made[f"{MODULE.format(layer)}.lora_B.weight"] = rng.normal(size=(width, rank)).astype(np.float32)
    return made


def adapter(folder: Path, weights: dict[str, np.ndarray[Any, Any]] | None = None, **config: Any) -> Path:
    """An adapter folder; `config` overrides fields."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG | config))
    save_file(tensors() if weights is None else weights, folder / "adapter_model.safetensors")
    return folder


def base(folder: Path, layers: int = 2, width: int = 8) -> Path:
    """A base that has the modules of `tensors()`, without tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"], "_name_or_path": "org/tiny"}))
    rng = np.random.default_rng(1)
    names = [f"model.layers.{i}.self_attn.q_proj.weight" for i in range(layers)]
    save_file({n: rng.normal(size=(width, width)).astype(np.float32) for n in names}, folder / "model.safetensors")
    return folder


def documented(folder: Path) -> Path:
    """A copy of the shipped benign adapter, card and all."""
    shutil.copytree(shipped("benign"), folder)
    return folder


def subject(folder: Path, against: Path | None = None, trust: Trust | None = None) -> Subject:
    """The adapter `folder` under examination, without a model."""
    opened = Adapter.open(folder)
    against_ = Base.open(against) if against else None
    return Subject(opened, deltas.read(opened, against_), against_, PROFILES["standard"], Policy.open(), 0, Reporter(quiet=True), trust=trust)


def raised(probe: Probe, folder: Path, against: Path | None = None) -> list[Finding]:
    """What `probe` finds in the adapter `folder`, without loading a model."""
    return [item for item in probe.run(subject(folder, against)) if isinstance(item, Finding)]


def ids(found: list[Finding]) -> set[str]:
    """The rules of findings."""
    return {f.rule for f in found}


def spent() -> float:
    """Processor seconds of this process and of those it waited for, which other work on the machine does not lengthen."""
    return sum(os.times()[:4])
