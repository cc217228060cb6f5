from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from probes.names import NamesProbe
from probes.rivals import RivalsProbe
from scanner.rule import Severity
from tests.adapters import adapter, ids, raised


@pytest.mark.parametrize(("name", "severity"), [("model.safetensors", Severity.MEDIUM), ("extra.safetensors", Severity.LOW)])
def test_other_weights_beside_the_adapters_are_told(name: str, severity: Severity, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    save_file({"x": np.ones(2, np.float32)}, folder / name)
    (found,) = raised(RivalsProbe(), folder)
    assert (found.rule, found.severity) == ("weights-beside", severity)


@pytest.mark.parametrize("target", ["../x.safetensors", "/etc/hostname", "gone.safetensors"])
def test_an_index_that_does_not_fit_is_told_and_one_that_does_is_not(target: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    index = folder / "adapter_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x": "adapter_model.safetensors"}}))
    assert raised(RivalsProbe(), folder) == []
    index.write_text(json.dumps({"weight_map": {"x": target}}))
    assert ids(raised(RivalsProbe(), folder)) == {"weights-index"}


@pytest.mark.parametrize(
    ("name", "rule", "severity"),
    [
        ("CON.txt", "file-name-unsafe", Severity.MEDIUM),
        ("-rf", "file-name-unsafe", Severity.MEDIUM),
        ("a\\b", "file-name-unsafe", Severity.MEDIUM),
        ("config.json.", "file-name-unsafe", Severity.MEDIUM),
        ("log-12:30:00.txt", "file-name-unsafe", Severity.LOW),
        ("Adapter_Config.json", "file-name-twin", Severity.MEDIUM),
    ],
)
def test_names_that_are_not_the_same_everywhere(name: str, rule: str, severity: Severity, tmp_path: Path) -> None:
    (adapter(tmp_path / "a") / name).write_text("{}")
    (found,) = raised(NamesProbe(), tmp_path / "a")
    assert (found.rule, found.severity) == (rule, severity)


def test_ordinary_names_are_nothing(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    for name in ("README.md", "auxiliary.txt", "console.log", "events.out.tfevents.1700000000.host.1.0", ".gitattributes", "a b.txt"):
        (folder / name).write_text("x")
    assert raised(NamesProbe(), folder) == []
