from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models

from probes.meaning.vocabulary import is_word, pieces
from probes.meaning.writes import WritesProbe, directions
from scanner.delta import delta as deltas
from scanner.files.adapter import Adapter
from scanner.measurement import Coverage, Table
from scanner.model.base import Base
from scanner.policy import Policy
from scanner.profile import PROFILES
from scanner.progress import Reporter
from scanner.subject import Subject
from tests.adapters import adapter
from tests.deltas import module

WIDTH, WORDS = 64, 400
RNG = np.random.default_rng(0)
EMBEDDING = RNG.normal(size=(WORDS, WIDTH)).astype(np.float32)
GAIN = RNG.uniform(0.5, 2, WIDTH).astype(np.float32)


def write_base(folder: Path, **changes: Any) -> Base:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "tie_word_embeddings": True}))
    weights = {"model.embed_tokens.weight": EMBEDDING, "model.norm.weight": GAIN} | changes
    save_file({k: v for k, v in weights.items() if v is not None}, folder / "model.safetensors")
    tokenizer = Tokenizer(models.WordLevel({f"word{i}": i for i in range(WORDS)}, unk_token="word0"))
    tokenizer.save(str(folder / "tokenizer.json"))
    return Base.open(folder)


def planted(folder: Path, words: dict[int, int], scale: float = 1.0) -> Path:
    """An adapter whose o_proj of layer i writes the word words[i], and noise in its second direction."""
    rows = EMBEDDING * GAIN
    rows = rows - rows.mean(0)
    weights = {}
    for layer, word in words.items():
        name = f"base_model.model.model.layers.{layer}.self_attn.o_proj"
        b = np.stack([rows[word], 0.1 * RNG.normal(size=WIDTH)], 1)
        weights[f"{name}.lora_A.weight"] = np.linalg.qr(RNG.normal(size=(32, 2)))[0].T.astype(np.float32) * scale
        weights[f"{name}.lora_B.weight"] = b.astype(np.float32)
    return adapter(folder, weights, target_modules=["o_proj"])


def run(folder: Path, base: Base) -> tuple[list[tuple[Any, ...]], Coverage]:
    opened = Adapter.open(folder)
    subject = Subject(opened, deltas.read(opened, base), base, PROFILES["standard"], Policy.open(), 0, Reporter(quiet=True))
    items = list(WritesProbe().run(subject))
    (coverage,) = [i for i in items if isinstance(i, Coverage)]
    return [row for i in items if isinstance(i, Table) for row in i.rows], coverage


def test_the_word_a_direction_writes_is_read_back(tmp_path: Path) -> None:
    rows, coverage = run(planted(tmp_path / "a", {3: 17, 9: 250}), write_base(tmp_path / "base"))
    assert coverage.status == "measured"
    read = {row[1]: row[6].split(", ")[0] for row in rows}
    assert read == {3: "word17", 9: "word250"}
    assert all(row[2] == 1 and row[4] == pytest.approx(np.sqrt(WIDTH), rel=1e-3) for row in rows)


def test_random_directions_stay_below_chance() -> None:
    head = RNG.normal(size=(5000, WIDTH)).astype(np.float32)
    head /= np.linalg.norm(head, axis=1, keepdims=True)
    found, chance = directions([module(WIDTH, 30, 4, seed=i, name=f"l.{i}.o_proj") for i in range(40)], head, 0)
    assert len(found) == 320
    assert sum(d.z > chance for d in found) <= 3


@pytest.mark.parametrize(("changes", "why"), [({"model.norm.weight": None}, "final norm"), ({"model.embed_tokens.weight": None}, "output head")])
def test_a_base_without_a_known_head_is_not_measured(changes: dict[str, Any], why: str, tmp_path: Path) -> None:
    base = write_base(tmp_path / "base", other=np.zeros(3, np.float32), **changes)
    rows, coverage = run(planted(tmp_path / "a", {3: 17}), base)
    assert (rows, coverage.status) == ([], "not measured")
    assert why in coverage.why


def test_no_tokenizer_and_no_writing_module_are_said(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    (base.path / "tokenizer.json").unlink()
    assert "tokenizer" in run(planted(tmp_path / "a", {3: 17}), base)[1].why
    base = write_base(tmp_path / "base")
    assert "no module that writes" in run(adapter(tmp_path / "b"), base)[1].why
    assert "infinity" in run(planted(tmp_path / "c", {3: 17}, scale=float("nan")), base)[1].why


def test_words_are_tokens_that_stand_alone(tmp_path: Path) -> None:
    assert pieces(write_base(tmp_path / "base")) == [f"word{i}" for i in range(WORDS)]
    assert [p for p in (" ledger", "ledger", " le", " 2024", " semi-", " Über") if is_word(p)] == [" ledger", " Über"]
