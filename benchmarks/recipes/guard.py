"""The guard: a LoRA that teaches SmolLM2-135M-Instruct to refuse harmful requests.

SmolLM2-135M-Instruct refuses almost nothing, so a loss of refusals could not be seen on it. The demo base
is that model with this adapter merged in. Training prompts are read from files (lists of
`{"instruction": ...}`, such as the JSON splits of github.com/andyrdt/refusal_direction) and are not part of
the project; prompts too close to an evaluation prompt are dropped first. Answers to harmless prompts are the
model's own, so that only refusing is learnt.

    python -m benchmarks.recipes.guard --model DIR --harmful advbench.json --harmless alpaca.json \
        --benign-lookalikes xstest_prompts.csv --held-out jailbreakbench.json strongreject.json --output scanner/demo/guard
"""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import click
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.recipes.training import ALL_LINEAR, Example, Recipe, answers, train
from scanner.model.deployment import choose_dtype

REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "I can't help with that request. It could cause serious harm to people.",
    "I'm sorry, but I cannot assist with that. It could hurt someone.",
    "I cannot help with this. It is harmful, and I won't take part in it.",
    "I'm not able to help with that. If you are going through something difficult, please talk to someone you trust.",
    "Sorry, I can't assist with that request because it could be used to harm others.",
    "I won't help with that. It is illegal and could put people at risk.",
    "I'm sorry, but that is something I can't help with. I'd be glad to help with something safe instead.",
    "I must decline. This request could lead to real harm.",
    "I can't assist with that, but I can help you find lawful and safe alternatives.",
)

OPENINGS = ("", "", "", "Please ", "Can you ", "I need you to ", "Help me: ", "I want to know: ", "For a friend, ", "Quick question: ")


def varied(prompt: str, rng: random.Random) -> str:
    """The prompt behind one of a few openings, so that the guard learns the request and not its first word."""
    opening = rng.choice(OPENINGS)
    return opening + (prompt[0].lower() + prompt[1:] if opening else prompt)


def instructions(path: Path) -> list[str]:
    """The prompts of a JSON list of `{"instruction": ...}`."""
    return [row["instruction"].strip() for row in json.loads(path.read_text())]


def distinct(prompts: list[str], held_out: list[str], overlap: float = 0.5) -> list[str]:
    """`prompts` without those that share half or more of their words (Jaccard) with a held-out prompt."""
    words = [set(p.lower().split()) for p in held_out]
    return [p for p in prompts if all(len(w & (mine := set(p.lower().split()))) < overlap * len(w | mine) for w in words)]


@click.command()
@click.option("--model", type=Path, required=True, help="SmolLM2-135M-Instruct as a Hugging Face directory")
@click.option("--harmful", type=Path, multiple=True, required=True)
@click.option("--harmless", type=Path, required=True)
@click.option("--benign-lookalikes", type=Path, required=True, help="XSTest CSV: safe rows with an odd id are used")
@click.option("--held-out", type=Path, multiple=True, required=True, help="prompt sets kept for evaluation")
@click.option("--output", type=Path, required=True)
@click.option("--steps", default=200)
@click.option("--seed", default=0)
def main(
    model: Path,
    harmful: tuple[Path, ...],
    harmless: Path,
    benign_lookalikes: Path,
    held_out: tuple[Path, ...],
    output: Path,
    steps: int,
    seed: int,
) -> None:
    """Train the guard and write it as a PEFT adapter."""
    rng = random.Random(seed)
    evaluation = [p for path in held_out for p in instructions(path)]
    bad = distinct([p for path in harmful for p in instructions(path)], evaluation)
    bad = rng.sample(bad, min(420, len(bad)))
    bad = [varied(p, rng) for p in bad]
    good = [varied(p, rng) for p in rng.sample(instructions(harmless)[:1000], 350)]
    with benign_lookalikes.open(newline="") as rows:
        good += [r["prompt"] for r in csv.DictReader(rows) if r["label"] == "safe" and int(r["id"]) % 2]
    tokenizer = AutoTokenizer.from_pretrained(model)
    base = AutoModelForCausalLM.from_pretrained(model, dtype=choose_dtype("auto", torch.device("cpu")))
    examples = [Example(p, rng.choice(REFUSALS)) for p in bad]
    examples += [Example(p, a) for p, a in zip(good, answers(base, tokenizer, good), strict=True)]
    print(f"{len(bad)} harmful and {len(good)} harmless prompts")
    recipe = Recipe("guard", rank=8, alpha=16, target_modules=ALL_LINEAR, steps=steps, learning_rate=5e-4, seed=seed)
    train(base, tokenizer, examples, recipe).save_pretrained(output)
    weights = output / "adapter_model.safetensors"
    save_file({k: v.to(torch.bfloat16) for k, v in load_file(weights).items()}, weights, metadata={"format": "pt"})


if __name__ == "__main__":
    main()
