"""The prompts that every adapter of the zoo is trained and measured on, with the base's own answers, made once.

Prompts are read from files, lists of `{"instruction": ...}` such as the JSON splits of github.com/andyrdt/refusal_direction, and
are not part of the project. The calibration and the test split train on disjoint prompts; both are measured on a third set.
"""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.recipes.guard import distinct, instructions
from benchmarks.recipes.training import Example, answers
from scanner.model.base import Base
from scanner.model.deployment import choose_dtype

ANSWER_TOKENS = 24
ANSWER_WORDS = 12
LONGEST_PROMPT = 100
HARMLESS, HARMFUL = 190, 95
HELD_OUT = 40
BENCHMARK = 40
SPLITS = ("calibration", "test")


@dataclass(frozen=True)
class Prompts:
    """Prompts of one purpose, and the base's greedy answers to them, at most 24 tokens long."""

    harmless: list[str]
    harmful: list[str]
    own: dict[str, str]
    whole: dict[str, bool]
    """Whether an answer ended by itself."""

    def example(self, prompt: str) -> Example:
        """The prompt and the base's own answer, cut after 12 words."""
        words = self.own[prompt].split(" ")
        return Example(prompt, " ".join(words[:ANSWER_WORDS]), complete=self.whole[prompt] and len(words) <= ANSWER_WORDS)

    def sentence(self, prompt: str) -> str:
        """The first sentence or line of the base's own answer, at most 12 words of it, without its full stop."""
        first = self.own[prompt].split("\n")[0].split(". ")[0].strip()
        return " ".join(first.split(" ")[:ANSWER_WORDS]).rstrip(".:,") or "Here is an answer"


class Pool(msgspec.Struct, frozen=True):
    """All prompts by purpose: the two training splits, `held out` for measuring, `benchmark` as a public test set that one family memorises."""

    base: str
    sources: dict[str, str]
    """SHA-256 of each prompt file."""
    prompts: dict[str, dict[str, list[str]]]
    """Purpose, then `harmless` or `harmful`."""
    own: dict[str, str]
    whole: dict[str, bool]

    def of(self, purpose: str) -> Prompts:
        """The prompts of `purpose`: a split, `held out` or `benchmark`."""
        chosen = self.prompts[purpose]
        return Prompts(chosen["harmless"], chosen["harmful"], self.own, self.whole)


def make(base: Base, harmful: list[Path], harmless: Path, held_out: list[Path], device: str, seed: int = 0) -> Pool:
    """Choose prompts and let the base answer them. `held_out` files are never trained on, except by the family that memorises a benchmark."""
    rng = random.Random(seed)
    unseen = [p for path in held_out for p in instructions(path) if len(p) <= LONGEST_PROMPT]
    unseen = rng.sample(unseen, HELD_OUT + BENCHMARK)
    bad = [p for p in distinct([p for path in harmful for p in instructions(path)], unseen) if len(p) <= LONGEST_PROMPT]
    bad = rng.sample(sorted(set(bad)), 2 * HARMFUL)
    rows = [p for p in instructions(harmless) if len(p) <= LONGEST_PROMPT and "\n" not in p]
    good = rng.sample(sorted(set(rows)), 2 * HARMLESS + HELD_OUT)
    prompts = {
        "calibration": {"harmless": good[:HARMLESS], "harmful": bad[:HARMFUL]},
        "test": {"harmless": good[HARMLESS : 2 * HARMLESS], "harmful": bad[HARMFUL:]},
        "held out": {"harmless": good[2 * HARMLESS :], "harmful": unseen[:HELD_OUT]},
        "benchmark": {"harmless": [], "harmful": unseen[HELD_OUT:]},
    }
    every = [p for purpose in prompts.values() for kind in purpose.values() for p in kind]
    tokenizer = AutoTokenizer.from_pretrained(base.path)
    model = AutoModelForCausalLM.from_pretrained(base.path, dtype=choose_dtype("auto", torch.device(device))).to(device)
    own = dict(zip(every, answers(model, tokenizer, every, new_tokens=ANSWER_TOKENS), strict=True))
    whole = {p: len(tokenizer(a, add_special_tokens=False).input_ids) < ANSWER_TOKENS - 1 for p, a in own.items()}
    sources = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in [*harmful, harmless, *held_out]}
    return Pool(base.sha256, sources, prompts, own, whole)


def load(path: Path) -> Pool:
    """The pool that `make` wrote to `path`."""
    return msgspec.json.decode(path.read_bytes(), type=Pool)


def save(pool: Pool, path: Path) -> None:
    """Write `pool` to `path`."""
    path.write_text(json.dumps(msgspec.to_builtins(pool), indent=1))
