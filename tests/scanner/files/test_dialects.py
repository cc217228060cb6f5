from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from scanner.delta import delta as deltas
from scanner.errors import UnreadableAdapter, UnusableBase
from scanner.files.adapter import Adapter
from scanner.files.dialects import Dialect
from scanner.scan import scan
from tests.adapters import base
from tests.torch_files import saved

Values = dict[str, np.ndarray[Any, Any]]


def factors(down: str, up: str, rank: int = 2) -> Values:
    rng = np.random.default_rng(rank)
    return {down: rng.normal(size=(rank, 8)).astype(np.float32), up: rng.normal(size=(6, rank)).astype(np.float32)}


def alpha(value: float) -> np.ndarray[Any, Any]:
    return np.array(value, np.float32)


def written(folder: Path, values: Values, metadata: dict[str, str] | None = None) -> Path:
    save_file(values, folder / "x.safetensors", metadata)
    return folder / "x.safetensors"


KOHYA = factors("lora_unet_mid_to_q.lora_down.weight", "lora_unet_mid_to_q.lora_up.weight") | {"lora_unet_mid_to_q.alpha": alpha(1)}
FORMS: dict[str, tuple[Values, str, float]] = {
    "kohya": (KOHYA, "lora_unet_mid_to_q", 0.5),
    "kohya without alpha": (factors("lora_te_q.lora_down.weight", "lora_te_q.lora_up.weight"), "lora_te_q", 1),
    "diffusers": (factors("unet.mid.to_q.lora.down.weight", "unet.mid.to_q.lora.up.weight"), "unet.mid.to_q", 1),
    "diffusers, processors": (factors("mid.attn1.processor.to_q_lora.down.weight", "mid.attn1.processor.to_q_lora.up.weight"), "mid.attn1.to_q", 1),
    "diffusers, linear layers": (factors("te.q.lora_linear_layer.down.weight", "te.q.lora_linear_layer.up.weight"), "te.q", 1),
    "diffusers, PEFT's factors": (
        factors("transformer.q.lora_A.weight", "transformer.q.lora_B.weight") | {"transformer.q.alpha": alpha(4)},
        "transformer.q",
        2,
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("torch", [True, False], ids=["torch", "safetensors"])
def test_other_names_are_the_same_delta(form: str, torch: bool, tmp_path: Path) -> None:
    values, module, scale = FORMS[form]
    path = written(tmp_path, values)
    if torch:
        path.unlink()
        path = tmp_path / "x.bin"
        path.write_bytes(saved(values))
    for given in (path, tmp_path):
        opened = Adapter.open(given)
        assert opened.dialect is Dialect.DIFFUSERS
        assert opened.config.scaling(module) == scale
        (change,) = deltas.read(opened).modules
        names = sorted(n for n in values if not n.endswith("alpha"))
        assert (change.module, change.scale) == (module, scale)
        np.testing.assert_array_equal(opened.weights.read(f"base_model.model.{module}.lora_A.weight"), values[names[0]])
        np.testing.assert_array_equal(opened.weights.read(f"base_model.model.{module}.lora_B.weight"), values[names[1]])


def test_ranks_and_alphas_of_their_own_are_kept(tmp_path: Path) -> None:
    values: Values = {}
    wanted = {}
    for number, (rank, strength) in enumerate([(2, 2), (2, 2), (4, 2), (2, 8), (4, 4)]):
        module = f"lora_unet_{number}_q+v"
        values |= factors(f"{module}.lora_down.weight", f"{module}.lora_up.weight", rank) | {f"{module}.alpha": alpha(strength)}
        wanted[module] = strength / rank
    opened = Adapter.open(written(tmp_path, values))
    assert {m: opened.config.scaling(m) for m in wanted} == wanted


def test_the_alpha_that_diffusers_writes_into_the_metadata_counts(tmp_path: Path) -> None:
    note = {"lora_adapter_metadata": json.dumps({"unet.lora_alpha": 6, "unet.r": 2})}
    assert Adapter.open(written(tmp_path, factors("unet.q.lora_A.weight", "unet.q.lora_B.weight"), note)).config.scaling("unet.q") == 3
    for hostile in ("[" * 100_000, '{"a_lora_alpha": "6"}', "\ud800", '{"x.lora_alpha": 1e999}'):
        told = {"lora_adapter_metadata": hostile.encode("utf-8", "replace").decode()}
        assert Adapter.open(written(tmp_path, factors("unet.q.lora_A.weight", "unet.q.lora_B.weight"), told)).config.scaling("unet.q") == 1


def test_lycoris_is_read_as_its_own_method(tmp_path: Path) -> None:
    small = np.ones((2, 2), np.float32)
    loha = {f"lora_unet_q.hada_{p}": small for p in ("w1_a", "w1_b", "w2_a", "w2_b")} | {"lora_unet_q.alpha": alpha(1)}
    assert Adapter.open(written(tmp_path, loha)).config.peft_type == "LOHA"
    with pytest.raises(UnreadableAdapter, match="LOHA and LORA in one file"):
        Adapter.open(written(tmp_path, loha | KOHYA))


NOBODYS: dict[str, tuple[Values, str]] = {
    "PEFT's own names": (factors("base_model.model.q.lora_A.weight", "base_model.model.q.lora_B.weight"), "scaling is not known"),
    "names of its own": ({"w_a_000": np.ones((2, 2), np.float32)}, "named neither"),
    "nothing": ({}, "named neither"),
    "one factor under two names": (KOHYA | factors("lora_unet_mid_to_q.lora.down.weight", "x.lora.up.weight"), "the same factor"),
    "an alpha that is no number": (KOHYA | {"lora_unet_mid_to_q.alpha": alpha(np.nan)}, "no scaling"),
}


@pytest.mark.parametrize("name", NOBODYS)
def test_weights_that_cannot_be_understood_alone_are_refused_in_one_line(name: str, tmp_path: Path) -> None:
    values, says = NOBODYS[name]
    with pytest.raises(UnreadableAdapter, match=says) as error:
        Adapter.open(written(tmp_path, values))
    assert str(error.value).startswith("x.safetensors: ")


def test_tensors_that_are_no_factors_are_not_lost(tmp_path: Path) -> None:
    opened = Adapter.open(written(tmp_path, KOHYA | {"lora_unet_mid_to_q.dora_scale": np.ones((6, 1), np.float32), "junk": alpha(1)}))
    assert {s.name for s in deltas.read(opened).strays} == {"lora_unet_mid_to_q.dora_scale", "junk"}


def test_another_dialect_on_a_base_without_its_modules_is_refused_and_its_files_are_scanned(tmp_path: Path) -> None:
    path = written(tmp_path, KOHYA)
    assert scan(path).scope.adapter.name == "x.safetensors"
    with pytest.raises(UnusableBase, match="was made for another base"):
        scan(path, base(tmp_path / "base"))
