"""A tiny random chat model that reads any text, an adapter for it, and the two under examination."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from scanner.delta import delta as deltas
from scanner.files.adapter import Adapter
from scanner.judge import JudgeIdentity
from scanner.model.base import Base
from scanner.model.deployment import Deployment
from scanner.policy import Policy
from scanner.probe import Probe, Yield
from scanner.profile import PROFILES
from scanner.progress import Reporter
from scanner.prompts.set import PromptSet
from scanner.subject import Subject
from tests.adapters import adapter

WIDTH = 32
TEMPLATE = "{% for m in messages %}<s>{{ m.role }}: {{ m.content }}</s>{% endfor %}<s>"


def tokenizer() -> Any:
    """One token a byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    plain = Tokenizer(models.BPE({c: i for i, c in enumerate(["<s>", "</s>", *alphabet])}, []))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=plain, bos_token="<s>", eos_token="</s>", pad_token="</s>", chat_template=TEMPLATE)


def config(**settings: Any) -> Any:
    """Of a Llama with two layers, for that tokenizer."""
    shape = {"hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 258}
    return LlamaConfig(**shape, max_position_embeddings=1024, initializer_range=0.2, bos_token_id=0, eos_token_id=1, pad_token_id=1, **settings)


@cache
def _weights() -> Any:
    torch.manual_seed(0)
    return LlamaForCausalLM(config()).eval()


def base(folder: Path) -> Base:
    """The model in `folder`, the same each time."""
    _weights().save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return Base.open(folder)


def lora(folder: Path, size: float) -> Path:
    """An adapter of its queries; with a size of 0 it changes nothing."""
    rng = np.random.default_rng(0)
    factors = {}
    for layer in range(2):
        name = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        factors[f"{name}.lora_A.weight"] = rng.normal(size=(2, WIDTH)).astype(np.float32)
        factors[f"{name}.lora_B.weight"] = (size * rng.normal(size=(WIDTH, 2))).astype(np.float32)
    return adapter(folder, factors)


class Parity:
    """A judge without meaning that is the same each time: the answer's bytes add up to an odd number."""

    identity = JudgeIdentity(name="parity")

    def refused(self, spoken: Sequence[tuple[str, str]]) -> list[bool]:
        return [sum(answer.encode()) % 2 == 1 for _, answer in spoken]


def subject(
    folder: Path, size: float = 1.0, profile: str = "standard", sets: tuple[PromptSet, ...] = (), judge: Any = None, tasks: tuple[str, ...] = (), **budget: int
) -> Subject:
    """Base and adapter below `folder`, float32 on the CPU; `budget` overrides the profile."""
    against = base(folder / "base")
    opened = Adapter.open(lora(folder / "adapter", size))
    delta = deltas.read(opened, against)

    def load() -> Deployment:
        return Deployment(against, delta, device="cpu", dtype="float32")

    return Subject(
        opened,
        delta,
        against,
        msgspec.structs.replace(PROFILES[profile], **budget),
        Policy.open(),
        0,
        Reporter(quiet=True),
        load,
        prompt_sets=sets,
        judge=judge or Parity(),
        tasks=tasks,
    )


def run(probe: Probe, subject: Subject) -> list[Yield]:
    """All that `probe` says."""
    return list(probe.run(subject))
