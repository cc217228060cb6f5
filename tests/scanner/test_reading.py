"""Reading without trust: containers, configurations, factors."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.delta import delta as deltas
from scanner.delta.delta import Role
from scanner.delta.spectra import spectrum
from scanner.errors import UnreadableAdapter
from scanner.files.adapter import Adapter
from scanner.files.safetensors_file import SafetensorsFile
from scanner.files.strict_json import BadJson, load_object
from tests.adapters import MODULE, adapter, tensors
from tests.deltas import dense as product


def container(path: Path, header: Any, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(start: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


BROKEN: dict[str, tuple[Any, bytes]] = {
    "overlap": ({"a": entry(0, 8, [2]), "b": entry(4, 12, [2])}, b"\0" * 12),
    "gap": ({"a": entry(0, 4, [1]), "b": entry(8, 12, [1])}, b"\0" * 12),
    "trailing bytes": ({"a": entry(0, 4, [1])}, b"\0" * 5),
    "shape does not fit": ({"a": entry(0, 4, [2])}, b"\0" * 4),
    "dtype unknown": ({"a": entry(0, 4, [1], "F31")}, b"\0" * 4),
    "negative size": ({"a": entry(0, 4, [-1])}, b"\0" * 4),
    "huge size": ({"a": entry(0, 4, [2**60])}, b"\0" * 4),
    "metadata not strings": ({"__metadata__": {"a": 1}, "a": entry(0, 4, [1])}, b"\0" * 4),
}


@pytest.mark.parametrize("name", BROKEN)
def test_every_broken_promise_of_the_container_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableAdapter) as error:
        SafetensorsFile(container(tmp_path / "x.safetensors", *BROKEN[name]))
    assert "\n" not in str(error.value)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_refused_and_nothing_else_happens(data: bytes) -> None:
    path = Path("/tmp") / "unmask-fuzz.safetensors"
    path.write_bytes(data)
    try:
        SafetensorsFile(path)
    except UnreadableAdapter as error:
        assert str(error).isprintable()
    finally:
        path.unlink()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_random_text_is_json_or_bad_json(data: bytes) -> None:
    try:
        value, _ = load_object(data, 200)
    except BadJson:
        return
    assert isinstance(value, dict)


def test_values_are_read_as_they_were_written(tmp_path: Path) -> None:
    values = np.array([[1.5, -2.25], [0.0, 3.0]], np.float32)
    half = values.astype(np.float16)
    brain = (values.view(np.uint32) >> 16).astype(np.uint16)
    data = values.tobytes() + half.tobytes() + brain.tobytes()
    file = SafetensorsFile(
        container(tmp_path / "x.safetensors", {"f": entry(0, 16, [2, 2]), "h": entry(16, 24, [2, 2], "F16"), "b": entry(24, 32, [2, 2], "BF16")}, data)
    )
    for name in "fhb":
        np.testing.assert_array_equal(file.read(name), values)


def test_singular_values_from_factors_equal_those_of_the_product(tmp_path: Path) -> None:
    delta = deltas.read(Adapter.open(adapter(tmp_path / "a", tensors(rank=3, width=12), r=3, lora_alpha=6)))
    for module in delta.modules:
        dense = product(module)
        found = spectrum(module)
        np.testing.assert_allclose(found.values, np.linalg.svd(dense, compute_uv=False)[:3], rtol=1e-9)
        np.testing.assert_allclose(found.left * found.values @ found.right.T, dense, atol=1e-9)


def test_scalings_follow_rank_alpha_and_patterns(tmp_path: Path) -> None:
    plain = Adapter.open(adapter(tmp_path / "a", r=4, lora_alpha=8)).config
    assert plain.scaling("model.layers.0.q_proj") == 2
    stabilised = Adapter.open(adapter(tmp_path / "b", r=4, lora_alpha=8, use_rslora=True)).config
    assert stabilised.scaling("model.layers.0.q_proj") == 4
    patterned = Adapter.open(adapter(tmp_path / "c", r=4, lora_alpha=8, alpha_pattern={r"layers\.[0-3]\..*q_proj": 4000}, rank_pattern={"v_proj": 8})).config
    assert patterned.scaling("model.layers.2.self_attn.q_proj") == 1000
    assert patterned.scaling("model.layers.7.self_attn.q_proj") == 2
    assert patterned.scaling("model.layers.2.self_attn.v_proj") == 1


def test_a_hostile_pattern_returns_at_once(tmp_path: Path) -> None:
    config = Adapter.open(adapter(tmp_path / "a", alpha_pattern={r"([a-z_0-9]+\.?)+!": 1})).config
    assert config.scaling("model.layers.0.self_attn.q_proj" * 20) == 2


def test_tensors_that_are_not_factors_are_told_apart(tmp_path: Path) -> None:
    small = np.zeros((2, 2), np.float32)
    strays = {
        "base_model.model.model.norm.weight": Role.BASE_WEIGHT,
        "base_model.model.model.layers.0.self_attn.q_proj.base_layer.weight": Role.BASE_WEIGHT,
        f"{MODULE.format(0)}.lora_A.other.weight": Role.DECOY,
        "base_model.model.base_model.model.model.layers.0.k_proj.lora_A.weight": Role.WRAPPED,
        "base_model.model.lm_head.weight": Role.SAVED_MODULE,
        "junk": Role.OTHER,
    }
    folder = adapter(tmp_path / "a", tensors() | dict.fromkeys(strays, small), modules_to_save=["lm_head"])
    found = {s.name: s.role for s in deltas.read(Adapter.open(folder)).strays}
    assert found == strays
