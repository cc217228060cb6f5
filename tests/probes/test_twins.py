from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from probes.twins import TwinsProbe
from scanner.measurement import Coverage, Status
from tests.adapters import adapter, ids, raised, subject, tensors
from tests.torch_files import saved

RULE = "containers-differ"


def test_one_container_is_compared_with_nothing(tmp_path: Path) -> None:
    assert raised(TwinsProbe(), adapter(tmp_path)) == []


@pytest.mark.parametrize("end", ["bin", "pt"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_same_weights_in_another_precision_are_the_same(end: str, dtype: type, tmp_path: Path) -> None:
    folder = adapter(tmp_path)
    (folder / f"adapter_model.{end}").write_bytes(saved({n: v.astype(dtype) for n, v in tensors().items()}))
    assert raised(TwinsProbe(), folder) == []
    (coverage,) = [c for c in TwinsProbe().run(subject(folder)) if isinstance(c, Coverage)]
    assert coverage.surface == "1 compared tensor by tensor"


def test_one_value_that_differs_is_named(tmp_path: Path) -> None:
    folder, values = adapter(tmp_path), tensors()
    name = next(iter(values))
    values[name] = values[name].copy()
    values[name][0, 0] += 3
    (folder / "adapter_model.bin").write_bytes(saved(values))
    (finding,) = raised(TwinsProbe(), folder)
    assert finding.rule == "containers-differ"
    assert f"adapter_model.bin and adapter_model.safetensors: '{name}' differs in 1 of 16 values, by up to 3" in finding.message


def test_names_and_shapes_that_differ_are_named(tmp_path: Path) -> None:
    folder, values = adapter(tmp_path), tensors()
    first, second = list(values)[:2]
    del values[first]
    values[second] = values[second][:4]
    (folder / "adapter_model.bin").write_bytes(saved(values))
    (finding,) = raised(TwinsProbe(), folder)
    assert len(finding.details) == 2
    assert any("in one of them only" in d for d in finding.details)
    assert any("[8, 2] in one and [4, 2] in the other" in d for d in finding.details)


def test_a_pickle_is_not_opened_and_said_to_be_not_compared(tmp_path: Path) -> None:
    folder = adapter(tmp_path)
    (folder / "adapter_model.bin").write_bytes(b"\x80\x04cposix\nsystem\n.")
    assert ids(raised(TwinsProbe(), folder)) == set()
    (coverage,) = [c for c in TwinsProbe().run(subject(folder)) if isinstance(c, Coverage)]
    assert coverage.status is Status.NOT_MEASURED
    assert "a pickle is never loaded" in coverage.why
