"""A small base on disk that has words, an output head and a final norm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models

from scanner.delta import delta as deltas
from scanner.files.adapter import Adapter
from scanner.model.base import Base
from scanner.policy import Policy
from scanner.probe import Probe, Yield
from scanner.profile import PROFILES
from scanner.progress import Reporter
from scanner.subject import Subject

WIDTH, WORDS = 64, 400
_RNG = np.random.default_rng(0)
EMBEDDING = _RNG.normal(size=(WORDS, WIDTH)).astype(np.float32)
GAIN = _RNG.uniform(0.5, 2, WIDTH).astype(np.float32)


def spelled(token: int) -> str:
    """The word of a token."""
    return "word" + "abcdefghij"[token // 100] + "abcdefghij"[token // 10 % 10] + "abcdefghij"[token % 10]


def word_base(folder: Path, **changes: Any) -> Base:
    """Its weights changed or, where None is given, left out."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "tie_word_embeddings": True}))
    weights = {"model.embed_tokens.weight": EMBEDDING, "model.norm.weight": GAIN} | changes
    save_file({k: v for k, v in weights.items() if v is not None}, folder / "model.safetensors")
    tokenizer = Tokenizer(models.WordLevel({spelled(i): i for i in range(WORDS)}, unk_token=spelled(0)))
    tokenizer.save(str(folder / "tokenizer.json"))
    return Base.open(folder)


def subject(folder: Path, base: Base) -> Subject:
    """The adapter `folder` on `base`, no model loaded."""
    opened = Adapter.open(folder)
    return Subject(opened, deltas.read(opened, base), base, PROFILES["standard"], Policy.open(), 0, Reporter(quiet=True))


def run(probe: Probe, folder: Path, base: Base) -> list[Yield]:
    """All that `probe` says."""
    return list(probe.run(subject(folder, base)))
