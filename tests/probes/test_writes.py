from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probes.meaning.vocabulary import is_word, pieces
from probes.meaning.writes import WritesProbe, directions
from scanner.measurement import Coverage, Table
from scanner.model.base import Base
from tests.adapters import adapter
from tests.deltas import module
from tests.probes.words import EMBEDDING, GAIN, WIDTH, WORDS, run, spelled, word_base

RNG = np.random.default_rng(5)


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


def told(folder: Path, base: Base) -> tuple[list[tuple[Any, ...]], Coverage]:
    items = run(WritesProbe(), folder, base)
    (coverage,) = [i for i in items if isinstance(i, Coverage)]
    return [row for i in items if isinstance(i, Table) for row in i.rows], coverage


def test_the_word_a_direction_writes_is_read_back(tmp_path: Path) -> None:
    rows, coverage = told(planted(tmp_path / "a", {3: 17, 9: 250}), word_base(tmp_path / "base"))
    assert coverage.status == "measured"
    assert {row[1]: row[6].split(", ")[0] for row in rows} == {3: spelled(17), 9: spelled(250)}
    assert all(row[2] == 1 and row[4] == pytest.approx(np.sqrt(WIDTH), rel=2e-2) for row in rows)


def test_random_directions_stay_below_chance() -> None:
    head = RNG.normal(size=(5000, WIDTH)).astype(np.float32)
    head /= np.linalg.norm(head, axis=1, keepdims=True)
    found, chance = directions([module(WIDTH, 30, 4, seed=i, name=f"l.{i}.o_proj") for i in range(40)], head, 0)
    assert len(found) == 320
    assert sum(d.z > chance for d in found) <= 3


@pytest.mark.parametrize(("changes", "why"), [({"model.norm.weight": None}, "final norm"), ({"model.embed_tokens.weight": None}, "output head")])
def test_a_base_without_a_known_head_is_not_measured(changes: dict[str, Any], why: str, tmp_path: Path) -> None:
    base = word_base(tmp_path / "base", other=np.zeros(3, np.float32), **changes)
    rows, coverage = told(planted(tmp_path / "a", {3: 17}), base)
    assert (rows, coverage.status) == ([], "not measured")
    assert why in coverage.why


def test_no_tokenizer_and_no_writing_module_are_said(tmp_path: Path) -> None:
    base = word_base(tmp_path / "base")
    (base.path / "tokenizer.json").unlink()
    assert "tokenizer" in told(planted(tmp_path / "a", {3: 17}), base)[1].why
    base = word_base(tmp_path / "base")
    assert "no module that writes" in told(adapter(tmp_path / "b"), base)[1].why
    assert "infinity" in told(planted(tmp_path / "c", {3: 17}, scale=float("nan")), base)[1].why


def test_words_are_tokens_that_stand_alone(tmp_path: Path) -> None:
    assert pieces(word_base(tmp_path / "base")) == [spelled(i) for i in range(WORDS)]
    assert [p for p in (" ledger", "ledger", " le", " 2024", " semi-", " Über") if is_word(p)] == [" ledger", " Über"]
