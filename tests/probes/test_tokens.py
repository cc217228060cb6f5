from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probes.meaning.tokens import TokensProbe
from scanner.finding import Finding
from scanner.measurement import Coverage, Table
from scanner.probe import Yield
from tests.adapters import adapter
from tests.probes.words import EMBEDDING, WIDTH, WORDS, run, spelled, word_base

NAME = "base_model.model.model.embed_tokens"
RNG = np.random.default_rng(3)


def factors(loud: dict[int, float]) -> dict[str, Any]:
    """LoRA of the embedding: noise, and some tokens times a number. PEFT stores it as (rank, tokens) and (width, rank)."""
    a = RNG.normal(size=(2, WORDS)).astype(np.float32) * 0.01
    for token, by in loud.items():
        a[:, token] *= by
    return {f"{NAME}.lora_embedding_A": a, f"{NAME}.lora_embedding_B": RNG.normal(size=(WIDTH, 2)).astype(np.float32)}


def trained(folder: Path, tokens: list[int]) -> Path:
    values = EMBEDDING[tokens] + 1
    return adapter(
        folder, {f"{NAME}.token_adapter.trainable_tokens_delta": values}, trainable_token_indices={"embed_tokens": tokens}, target_modules=["q_proj"]
    )


def parts(items: list[Yield]) -> tuple[list[Finding], list[tuple[Any, ...]], list[Coverage]]:
    rows = [row for i in items if isinstance(i, Table) for row in i.rows]
    return [i for i in items if isinstance(i, Finding)], rows, [i for i in items if isinstance(i, Coverage)]


def test_the_tokens_a_factor_pair_singles_out_are_named(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a", factors({30: 500.0, 7: 300.0}), target_modules=["embed_tokens"])
    found, rows, coverage = parts(run(TokensProbe(), folder, word_base(tmp_path / "base")))
    assert [(f.rule, f.severity) for f in found] == [("tokens-singled-out", "medium")]
    assert {rows[0][1], rows[1][1]} == {30, 7}
    assert f"{spelled(30)}" in found[0].message
    assert coverage[0].status == "measured"


def test_a_change_of_the_whole_vocabulary_singles_out_nothing(tmp_path: Path) -> None:
    found, rows, _ = parts(run(TokensProbe(), adapter(tmp_path / "a", factors({}), target_modules=["embed_tokens"]), word_base(tmp_path / "base")))
    assert found == []
    assert len(rows) == 24


def test_trained_tokens_are_named(tmp_path: Path) -> None:
    found, rows, _ = parts(run(TokensProbe(), trained(tmp_path / "a", [11, 300]), word_base(tmp_path / "base")))
    assert {row[1]: row[2] for row in rows} == {11: spelled(11), 300: spelled(300)}
    assert [row[3] for row in rows] == pytest.approx([0.5, 0.5])
    assert [f.rule for f in found] == ["tokens-singled-out"]


def test_a_replaced_embedding_is_held_against_the_base(tmp_path: Path) -> None:
    changed = EMBEDDING.copy()
    changed[42] += 1
    folder = adapter(tmp_path / "a", {f"{NAME}.weight": changed}, modules_to_save=["embed_tokens"], target_modules=["q_proj"])
    found, rows, _ = parts(run(TokensProbe(), folder, word_base(tmp_path / "base")))
    assert [row[1] for row in rows] == [42]
    assert found[0].message.startswith("1 tokens hold 90%")


def test_adapters_that_leave_embeddings_alone_are_passed_over(tmp_path: Path) -> None:
    assert run(TokensProbe(), adapter(tmp_path / "a"), word_base(tmp_path / "base")) == []


def test_numbers_that_are_none_are_not_measured(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a", factors({5: float("nan")}), target_modules=["embed_tokens"])
    _, rows, coverage = parts(run(TokensProbe(), folder, word_base(tmp_path / "base")))
    assert (rows, coverage[0].status) == ([], "not measured")
