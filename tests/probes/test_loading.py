from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probes.loading import LoadingProbe
from scanner.measurement import Status
from scanner.scan import scan
from scanner.verdict import Outcome
from tests.adapters import MODULE, adapter, ids, raised, tensors

FIRST = MODULE.format(0)
SMALL = np.ones((2, 2), np.float32)
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "base-overwrite": ("base_model.model.model.norm.weight", {}),
    "saved-module": ("base_model.model.lm_head.weight", {"modules_to_save": ["lm_head"]}),
    "tensor-decoy": (f"{FIRST}.lora_A.other.weight", {}),
    "task-head": ("base_model.model.score.weight", {"task_type": "SEQ_CLS"}),
    "embedding-replaced": ("base_model.model.lm_head.weight", {}),
    "bias-trained": ("base_model.model.model.layers.0.self_attn.k_proj.bias", {"bias": "all"}),
    "loaders-disagree": ("base_model.model.model.layers.0.self_attn.k_proj.lora_A.weight", {}),
    "tensor-ignored": ("junk", {}),
}


@pytest.mark.parametrize("rule", CASES)
def test_a_tensor_outside_the_pairs_is_named(rule: str, tmp_path: Path) -> None:
    name, config = CASES[rule]
    (found,) = raised(LoadingProbe(), adapter(tmp_path / "a", tensors() | {name: SMALL}, **config))
    assert (found.rule, found.location.item, found.details) == (rule, name, (name,))


def test_numbers_that_are_none_are_told_with_their_module(tmp_path: Path) -> None:
    weights = tensors()
    weights[f"{FIRST}.lora_A.weight"][0, 0] = np.nan
    (found,) = raised(LoadingProbe(), adapter(tmp_path / "a", weights))
    assert found.rule == "weights-nonfinite"
    assert "1 of 2 modules" in found.message


def test_a_second_weights_file_is_told(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "adapter_model.bin").write_bytes(b"\x80\x04.")
    assert ids(raised(LoadingProbe(), folder)) == {"weights-shadowed"}


def test_pairs_alone_are_nothing(tmp_path: Path) -> None:
    assert raised(LoadingProbe(), adapter(tmp_path / "a")) == []


def test_what_is_not_understood_is_named_and_makes_the_scan_incomplete(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a", tensors() | {"base_model.model.model.embed_tokens.lora_embedding_A": SMALL}, target_modules=["q_proj", "embed_tokens"])
    (found,) = raised(LoadingProbe(), folder)
    assert (found.rule, found.location.item) == ("tensor-unapplied", "model.embed_tokens")
    assert scan(folder).verdict.outcome is Outcome.INCOMPLETE


def test_an_adapter_without_a_delta_is_incomplete(tmp_path: Path) -> None:
    result = scan(adapter(tmp_path / "a", {"junk": SMALL}))
    assert result.verdict.outcome is Outcome.INCOMPLETE
    assert {c.probe for c in result.coverage if c.status is not Status.MEASURED} >= {"loading", "spectrum"}
