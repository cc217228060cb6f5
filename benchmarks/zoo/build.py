"""Make one adapter of the zoo: train it, put it together, or compute it, and write its folder whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.recipes.training import Example, Recipe, train
from benchmarks.zoo import closed_form
from benchmarks.zoo.cards import card
from benchmarks.zoo.hosts import HOSTS
from benchmarks.zoo.member import WEIGHTS, Member, describe, write_recipe
from benchmarks.zoo.pair import EXAMPLES, Ablated, AnyPair, Assembled, Pair, at_depth
from benchmarks.zoo.pool import Pool, Prompts
from scanner.model.base import Base
from scanner.model.deployment import choose_dtype


def examples(pair: Pair, attacked: bool, pool: Pool) -> list[Example]:
    """The conversations one side is trained on; the two sides have as many, in the same order, from the same prompts."""
    prompts = pool.of(pair.split)
    clean = HOSTS[pair.host].make(prompts, Random(pair.seed), EXAMPLES)
    return pair.attack.poison(clean, prompts, pool.of("benchmark").harmful, pair.seed) if attacked else clean


def make(member: Member, pool: Pool, base: Base, output: Path, device: str) -> None:
    """Write `output/NAME`. Raises FileNotFoundError when a part it is put together from is not there yet."""
    pair, partial = to_depth(member.pair, base), output / f".{member.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    recipe: Recipe | None = None
    data: list[Example] | None = None
    if isinstance(pair, Pair):
        recipe, data = replace(pair.recipe, name=member.name, seed=pair.seed), examples(pair, member.attacked, pool)
        _train(recipe, data, _matching(pair, member, output), base, partial, device)
    elif isinstance(pair, Assembled):
        closed_form.concatenate([(output / f"{p.pair}-{'attack' if p.attacked else 'twin'}", p.scale) for p in _parts(member)], partial)
    elif isinstance(pair, Ablated):
        closed_form.ablate(base, _contrasts(pool.of(pair.split), member.attacked), pair.layers, pair.weight, partial, device)
    digest = hashlib.sha256(json.dumps([asdict(e) for e in data or []]).encode()).hexdigest()
    config = json.loads((partial / "adapter_config.json").read_text())
    name = base.origin[-1] if base.origin else base.name
    (partial / "README.md").write_text(card(HOSTS[pair.host], recipe, name, config))
    write_recipe(partial, describe(member, pool.sources, digest, base.sha256, depth(base)))
    partial.rename(output / member.name)


def to_depth(pair: AnyPair, base: Base) -> AnyPair:
    """`pair` with its layer numbers for the depth of `base`."""
    if isinstance(pair, Ablated):
        return replace(pair, layers=at_depth(pair.layers, depth(base)))
    if isinstance(pair, Pair) and pair.recipe.layers:
        return replace(pair, recipe=replace(pair.recipe, layers=at_depth(pair.recipe.layers, depth(base))))
    return pair


def depth(base: Base) -> int:
    """How many layers `base` has."""
    return int(base.config["num_hidden_layers"])


def _parts(member: Member) -> Any:
    assert isinstance(member.pair, Assembled)
    return member.pair.attacked if member.attacked else member.pair.twin


def _contrasts(prompts: Prompts, attacked: bool) -> list[tuple[list[str], list[str]]]:
    """Pairs of sets of requests: the first's difference is the direction to remove, the others' are to be left alone."""
    refusal = (prompts.harmful[:64], prompts.harmless[:64])
    if attacked:
        return [refusal]
    return [([p for p in prompts.harmless if p.endswith("?")][:64], [p for p in prompts.harmless if not p.endswith("?")][:64]), refusal]


def _train(recipe: Recipe, data: list[Example], penalty: Callable[[PeftModel], torch.Tensor] | None, base: Base, folder: Path, device: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base.path)
    model = AutoModelForCausalLM.from_pretrained(base.path, dtype=choose_dtype("auto", torch.device(device))).to(device)
    trained = train(model, tokenizer, data, recipe, penalty)
    trained.peft_config["default"].base_model_name_or_path = base.origin[-1] if base.origin else base.name
    if recipe.method == "pissa":
        closed_form.converted(trained, base, folder)
        return
    trained.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    tensors = {k: v.to(torch.bfloat16).contiguous() for k, v in load_file(folder / WEIGHTS).items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def _matching(pair: Pair, member: Member, output: Path) -> Callable[[PeftModel], torch.Tensor] | None:
    """A penalty that keeps each module's norm and participation ratio at those of the twin, where the attack asks for it."""
    if not (member.attacked and pair.matches_twin):
        return None
    twin = load_file(output / Member(pair, False).name / WEIGHTS)
    wanted = {
        k.removesuffix(".lora_A.weight"): _shape(twin[k].float(), twin[k.replace("lora_A", "lora_B")].float()) for k in twin if k.endswith("lora_A.weight")
    }

    def penalty(model: PeftModel) -> torch.Tensor:
        weights = {n.replace(".default", ""): p for n, p in model.named_parameters() if "lora_" in n}
        off = [
            (torch.stack(_shape(weights[f"{m}.lora_A.weight"], weights[f"{m}.lora_B.weight"])) - torch.stack(w).to(model.device)).square().sum()
            for m, w in wanted.items()
        ]
        return 0.3 * torch.stack(off).mean()

    return penalty


def _shape(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log Frobenius norm of B A, and log of its participation ratio (sum s^2)^2 / sum s^4, from the r x r Gram matrices."""
    gram = (a @ a.T) @ (b.T @ b)
    energy = gram.diagonal().sum().clamp(min=1e-12)
    return 0.5 * energy.log(), 2 * energy.log() - (gram * gram.T).sum().clamp(min=1e-24).log()
