from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probes.container.numbers import NumbersProbe
from tests.adapters import MODULE, adapter, ids, raised, tensors

FACTOR = f"{MODULE.format(0)}.lora_A.weight"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_numbers_that_are_none_outside_the_delta_are_told(value: float, dtype: Any, tmp_path: Path) -> None:
    saved = np.ones((4, 4), dtype)
    assert raised(NumbersProbe(), adapter(tmp_path / "a", tensors() | {"base_model.model.lm_head.weight": saved}, modules_to_save=["lm_head"])) == []
    saved[3, 3] = value
    (found,) = raised(NumbersProbe(), adapter(tmp_path / "b", tensors() | {"base_model.model.lm_head.weight": saved}, modules_to_save=["lm_head"]))
    assert (found.rule, found.severity, found.location.item) == ("tensor-nonfinite", "high", "base_model.model.lm_head.weight")


def test_numbers_too_small_to_be_weights_are_told(tmp_path: Path) -> None:
    for number, tiny in enumerate((np.float32(1e-40), np.float32(-1e-44))):
        weights = tensors()
        weights[FACTOR][0, :4] = tiny
        (found,) = raised(NumbersProbe(), adapter(tmp_path / str(number), weights))
        assert (found.rule, found.location.item) == ("weights-denormal", FACTOR)


def test_the_same_in_bfloat16(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    header = b'{"%s":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]}}' % FACTOR.encode()
    for bits, rules in (([1, 0x8001, 0, 0x3F80], {"weights-denormal"}), ([0x3F80] * 4, set())):
        (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + np.array(bits, "<u2").tobytes())
        assert ids(raised(NumbersProbe(), folder)) == rules


def test_zeros_small_halves_and_few_denormals_are_nothing(tmp_path: Path) -> None:
    zero = {n: v * 0 if "lora_B" in n else v for n, v in tensors().items()}
    assert raised(NumbersProbe(), adapter(tmp_path / "a", zero)) == []
    assert raised(NumbersProbe(), adapter(tmp_path / "b", {n: (v * 1e-6).astype(np.float16) for n, v in tensors().items()})) == []
    wide = tensors(width=512)
    wide[FACTOR][0, 0] = 1e-40
    assert raised(NumbersProbe(), adapter(tmp_path / "c", wide)) == []
