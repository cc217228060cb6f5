from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from probes.rivals import RivalsProbe
from scanner.rule import Severity
from tests.adapters import adapter, ids, raised


@pytest.mark.parametrize(("name", "severity"), [("model.safetensors", Severity.MEDIUM), ("extra.safetensors", Severity.LOW)])
def test_other_weights_beside_the_adapters_are_told(name: str, severity: Severity, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    save_file({"x": np.ones(2, np.float32)}, folder / name)
    (found,) = raised(RivalsProbe(), folder)
    assert (found.rule, found.severity) == ("weights-beside", severity)


def test_weights_in_folders_below_are_told_unless_they_are_an_adapters_there(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    adapter(folder / "checkpoint-1")
    assert raised(RivalsProbe(), folder) == []
    for name in ("base/model.safetensors", "loose/adapter_model.safetensors"):
        (folder / name).parent.mkdir()
        save_file({"x": np.ones(2, np.float32)}, folder / name)
    (found,) = raised(RivalsProbe(), folder)
    assert (found.rule, found.severity, found.details) == ("weights-beside", Severity.LOW, ("base/model.safetensors", "loose/adapter_model.safetensors"))


@pytest.mark.parametrize("target", ["../x.safetensors", "/etc/hostname", "gone.safetensors"])
def test_an_index_that_does_not_fit_is_told_and_one_that_does_is_not(target: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    index = folder / "adapter_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x": "adapter_model.safetensors"}}))
    assert raised(RivalsProbe(), folder) == []
    index.write_text(json.dumps({"weight_map": {"x": target}}))
    assert ids(raised(RivalsProbe(), folder)) == {"weights-index"}
