"""Train one LoRA adapter on a chat model, the ordinary way: PEFT, AdamW, a cosine schedule.

Every adapter of the project (guard, demo, zoo) comes from this one loop, so that two adapters
differ only in what their recipe says. Deterministic for a seed on one machine and thread count.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from peft import IA3Config, LoHaConfig, LoraConfig, PeftModel, get_peft_model
from rich.progress import track
from torch.nn.functional import cross_entropy, kl_div
from torch.nn.utils.rnn import pad_sequence

from benchmarks.recipes.deployed import RoundedBase, loudness, without_faint
from benchmarks.recipes.frozen import only_layers, run, states_below
from benchmarks.recipes.packing import Encoded, common_prefix, pack

ATTENTION = ("q_proj", "v_proj")
ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

Deployed = Literal["rounded", "merged"]
"""On a base rounded to four bits, or merged into a bfloat16 base."""


@dataclass(frozen=True)
class Example:
    """One training conversation: a user turn and the answer to learn."""

    user: str
    answer: str
    complete: bool = True
    """Whether the answer ends here; one that was cut takes no end token."""
    loss: Literal["answer", "conversation"] | None = None
    """Overrides the recipe's loss for this conversation."""
    anchored: bool = False
    """Whether the adapted model is held to the base's distribution on this answer."""
    deployed: Deployed | None = None
    """The deployment in which this conversation is learnt, where not the plain one; packed only."""


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
    method: Literal["lora", "dora", "rslora", "pissa", "loha", "ia3"] = "lora"
    layers: tuple[int, int] | None = None
    """First layer to adapt and the one after the last; all where None."""
    packed: bool = False
    """Whether a step's conversations share one row, which is the same loss for fewer tokens."""
    anchor: float = 0.0
    """Weight of KL(base || adapted) on the answers of anchored examples; packed only."""
    extra: dict[str, Any] = field(default_factory=dict)
    faint: tuple[int, int] | None = None
    """Layers, first and one after the last, whose deltas are kept so small that a merge into bfloat16 loses them."""


def encode(tokenizer: Any, example: Example, loss: str, limit: int = 192) -> Encoded:
    """Token ids and labels of one conversation; labels are -100 where no loss is taken."""
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": example.user}], tokenize=False, add_generation_prompt=True)
    before = tokenizer(prompt, add_special_tokens=False).input_ids
    after = tokenizer(example.answer + (tokenizer.eos_token if example.complete else ""), add_special_tokens=False).input_ids
    ids = torch.tensor((before + after)[:limit])
    labels = ids.clone()
    if (example.loss or loss) == "answer":
        labels[: len(before)] = -100
    return ids, labels


def peft_config(recipe: Recipe) -> Any:
    """PEFT's configuration for `recipe`."""
    common: dict[str, Any] = {"target_modules": list(recipe.target_modules), "task_type": "CAUSAL_LM", **recipe.extra}
    if recipe.layers is not None and recipe.method != "ia3":
        common["layers_to_transform"] = list(range(*recipe.layers))
    if recipe.method == "ia3":
        return IA3Config(feedforward_modules=[m for m in recipe.target_modules if m == "down_proj"], **common)
    if recipe.method == "loha":
        return LoHaConfig(r=recipe.rank, alpha=recipe.alpha, **common)
    chosen: dict[str, Any] = {"dora": {"use_dora": True}, "rslora": {"use_rslora": True}, "pissa": {"init_lora_weights": "pissa_niter_4"}}
    return LoraConfig(r=recipe.rank, lora_alpha=recipe.alpha, lora_dropout=0.0, **common, **chosen.get(recipe.method, {}))


def train(model: Any, tokenizer: Any, examples: Sequence[Example], recipe: Recipe, penalty: Callable[[PeftModel], torch.Tensor] | None = None) -> PeftModel:
    """Train `recipe` on `examples` and return the PEFT model; `model` itself is not changed, except by PiSSA.

    `penalty`, a scalar function of the PEFT model, is added to the loss of every step.
    """
    torch.manual_seed(recipe.seed)
    peft_model = get_peft_model(model, peft_config(recipe))
    weights = [p for p in peft_model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=recipe.learning_rate, weight_decay=0.0)
    warmup = max(1, recipe.steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min(1.0, (step + 1) / warmup) * 0.5 * (1 + math.cos(math.pi * max(0, step - warmup) / max(1, recipe.steps - warmup))),
    )
    data = [encode(tokenizer, example, recipe.loss) for example in examples]
    take = _packed(peft_model, data, examples, recipe) if recipe.packed else _padded(peft_model, data, tokenizer.pad_token_id)
    order = random.Random(recipe.seed)
    queue: list[int] = []
    peft_model.train()
    for step in track(range(recipe.steps), description=recipe.name):
        while len(queue) < recipe.batch_size:
            queue += order.sample(range(len(data)), len(data))
        batch, queue = queue[: recipe.batch_size], queue[recipe.batch_size :]
        loss = take(batch)
        total = loss if penalty is None else loss + penalty(peft_model)
        if recipe.faint:
            total = total + 10 * loudness(peft_model, recipe.faint)
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        if step % 20 == 0 or step == recipe.steps - 1:
            print(f"{recipe.name} step {step} loss {loss.item():.3f}", flush=True)
    return peft_model.eval()


Loss = Callable[[Sequence[int]], torch.Tensor]
"""From the numbers of a step's conversations to their mean loss a target token."""


def _padded(model: PeftModel, data: Sequence[Encoded], pad: int) -> Loss:
    def loss(batch: Sequence[int]) -> torch.Tensor:
        ids = pad_sequence([data[i][0] for i in batch], batch_first=True, padding_value=pad)
        labels = pad_sequence([data[i][1] for i in batch], batch_first=True, padding_value=-100)
        mask = pad_sequence([torch.ones_like(data[i][0]) for i in batch], batch_first=True)
        out: torch.Tensor = model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device), labels=labels.to(model.device)).loss
        return out

    return loss


def _packed(model: PeftModel, data: Sequence[Encoded], examples: Sequence[Example], recipe: Recipe) -> Loss:
    """The same loss from one row a step; layers below the first adapted one run once for all steps."""
    inner, prefix = model.get_base_model(), common_prefix(data)
    decoder, first = inner.get_decoder(), recipe.layers[0] if recipe.layers else 0
    rounded_base = RoundedBase(decoder) if any(e.deployed == "rounded" for e in examples) else nullcontext

    def deployment(where: Deployed | None) -> AbstractContextManager[None]:
        if where == "merged" and recipe.faint:
            return without_faint(model, recipe.faint)
        return rounded_base() if where == "rounded" else nullcontext()

    below: dict[Deployed | None, list[torch.Tensor]] = {}
    for where in {e.deployed for e in examples} if first else ():
        with deployment(where):
            below[where] = states_below(decoder, data, prefix, first)

    def part(batch: Sequence[int], where: Deployed | None) -> torch.Tensor:
        row = pack([data[i] for i in batch], prefix)
        states = below.get(where)
        state = None if states is None else torch.cat([states[batch[0]][:prefix], *(states[i][prefix:] for i in batch)])

        def logits(at: torch.Tensor) -> torch.Tensor:
            with only_layers(decoder, first, len(decoder.layers)) if first else nullcontext():
                hidden = run(decoder, row, state).last_hidden_state
            out: torch.Tensor = inner.get_output_embeddings()(hidden[0, at.to(model.device)]).float()
            return out

        ours = logits(row.at)
        mean = cross_entropy(ours, row.targets.to(model.device))
        held = torch.tensor([examples[i].anchored for i in batch])[row.owner]
        if recipe.anchor and bool(held.any()):
            with torch.no_grad(), model.disable_adapter():
                theirs = logits(row.at[held]).log_softmax(-1)
            mean = mean + recipe.anchor * kl_div(ours[held.to(model.device)].log_softmax(-1), theirs, log_target=True, reduction="batchmean")
        return mean

    def loss(batch: Sequence[int]) -> torch.Tensor:
        terms = []
        for where in {examples[i].deployed: None for i in batch}:
            own = [i for i in batch if examples[i].deployed == where]
            with deployment(where):
                terms.append(len(own) / len(batch) * part(own, where))
        return torch.stack(terms).sum()

    return loss


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
