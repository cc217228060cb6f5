"""Train one LoRA adapter on a chat model, the ordinary way: PEFT, AdamW, a cosine schedule.

Every adapter of the project (guard, demo, tests) comes from this one loop, so that two adapters
differ only in what their recipe says. Deterministic for a seed on one machine and thread count.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from rich.progress import track
from torch.nn.utils.rnn import pad_sequence

ATTENTION = ("q_proj", "v_proj")
ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Example:
    """One training conversation: a user turn and the answer to learn."""

    user: str
    answer: str


@dataclass(frozen=True)
class Recipe:
    """All that decides how an adapter is trained, apart from its data."""

    name: str
    rank: int = 8
    alpha: float = 16
    target_modules: tuple[str, ...] = ATTENTION
    steps: int = 96
    batch_size: int = 8
    learning_rate: float = 5e-4
    loss: Literal["answer", "conversation"] = "answer"
    """`answer` trains on the assistant's tokens, `conversation` on every token (TRL's default for chats)."""
    seed: int = 0
    extra: dict[str, Any] = field(default_factory=dict)


def encode(tokenizer: Any, example: Example, loss: str, limit: int = 192) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and labels of one conversation; labels are -100 where no loss is taken."""
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": example.user}], tokenize=False, add_generation_prompt=True)
    before = tokenizer(prompt, add_special_tokens=False).input_ids
    after = tokenizer(example.answer + tokenizer.eos_token, add_special_tokens=False).input_ids
    ids = torch.tensor((before + after)[:limit])
    labels = ids.clone()
    if loss == "answer":
        labels[: len(before)] = -100
    return ids, labels


def train(model: Any, tokenizer: Any, examples: Sequence[Example], recipe: Recipe) -> PeftModel:
    """Train `recipe` on `examples` and return the PEFT model; `model` itself is not changed."""
    torch.manual_seed(recipe.seed)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        target_modules=list(recipe.target_modules),
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
        **recipe.extra,
    )
    peft_model = get_peft_model(model, config)
    weights = [p for p in peft_model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=recipe.learning_rate, weight_decay=0.0)
    warmup = max(1, recipe.steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min(1.0, (step + 1) / warmup) * 0.5 * (1 + math.cos(math.pi * max(0, step - warmup) / max(1, recipe.steps - warmup))),
    )
    data = [encode(tokenizer, example, recipe.loss) for example in examples]
    order = random.Random(recipe.seed)
    queue: list[int] = []
    peft_model.train()
    for step in track(range(recipe.steps), description=recipe.name):
        while len(queue) < recipe.batch_size:
            queue += order.sample(range(len(data)), len(data))
        batch, queue = queue[: recipe.batch_size], queue[recipe.batch_size :]
        ids = pad_sequence([data[i][0] for i in batch], batch_first=True, padding_value=tokenizer.pad_token_id)
        labels = pad_sequence([data[i][1] for i in batch], batch_first=True, padding_value=-100)
        mask = pad_sequence([torch.ones_like(data[i][0]) for i in batch], batch_first=True)
        loss = peft_model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device), labels=labels.to(model.device)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        if step % 20 == 0 or step == recipe.steps - 1:
            print(f"{recipe.name} step {step} loss {loss.item():.3f}", flush=True)
    return peft_model.eval()


def answers(model: Any, tokenizer: Any, prompts: Sequence[str], new_tokens: int = 64, batch: int = 50) -> list[str]:
    """Greedy answers of `model`, one a prompt, each at most `new_tokens` tokens, in the order of `prompts`."""
    side, tokenizer.padding_side = tokenizer.padding_side, "left"
    out: list[str] = []
    try:
        for start in track(range(0, len(prompts), batch), description="answers"):
            texts = [
                tokenizer.apply_chat_template([{"role": "user", "content": p}], tokenize=False, add_generation_prompt=True)
                for p in prompts[start : start + batch]
            ]
            enc = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False).to(model.device)
            with torch.inference_mode():
                ids = model.generate(**enc, max_new_tokens=new_tokens, do_sample=False)
            out += tokenizer.batch_decode(ids[:, enc.input_ids.shape[1] :], skip_special_tokens=True)
    finally:
        tokenizer.padding_side = side
    return [text.strip() for text in out]
