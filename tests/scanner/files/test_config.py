from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.delta import delta as deltas
from scanner.errors import UnreadableAdapter
from scanner.files import config
from scanner.files.adapter import Adapter
from scanner.files.config import AdapterConfig
from tests.adapters import adapter

BROKEN = {
    "empty": b"",
    "not JSON": b"peft_type: LORA",
    "not UTF-8": b'{"peft_type": "\xff"}',
    "a string": b'"LORA"',
    "number too large to be finite": b'{"peft_type": "LORA", "lora_alpha": 1e999}',
    "Infinity": b'{"peft_type": "LORA", "lora_alpha": Infinity}',
    "digits without end": b'{"peft_type": "LORA", "r": ' + b"9" * 10_000 + b"}",
    "no peft_type": b'{"r": 8}',
    "peft_type is a list": b'{"peft_type": ["LORA"]}',
    "r is true": b'{"peft_type": "LORA", "r": true}',
    "r is a fraction": b'{"peft_type": "LORA", "r": 1.5}',
    "alpha is a string": b'{"peft_type": "LORA", "lora_alpha": "16"}',
    "patterns are a list": b'{"peft_type": "LORA", "rank_pattern": [1]}',
    "use_dora is a string with escapes": b'{"peft_type": "LORA", "use_dora": "\\u001b[2J\\n"}',
    "over a mebibyte": b'{"peft_type": "LORA", "x": "' + b"x" * (1 << 20) + b'"}',
    "10,000 patterns": json.dumps({"peft_type": "LORA", "rank_pattern": {f"m{i}": 1 for i in range(10_000)}}).encode(),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_configuration_is_refused_in_one_printable_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_bytes(BROKEN[name])
    with pytest.raises(UnreadableAdapter) as error:
        config.read(tmp_path)
    assert str(error.value).startswith("adapter_config.json: ")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 500


def test_another_method_is_named_and_nothing_is_measured(tmp_path: Path) -> None:
    delta = deltas.read(Adapter.open(adapter(tmp_path / "a", peft_type="NOVEL", r=[8], bias={})))
    assert (delta.changes, [u.what for u in delta.unmeasured]) == ((), ["peft_type NOVEL"])


def test_keys_written_twice_are_reported_and_the_last_one_counts(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 4, "r": 8, "x": {"y": 1, "y": 2}}')
    found = config.read(tmp_path)
    assert (found.config.r, set(found.twice)) == (8, {"r", "y"})


def test_null_stands_for_the_default(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "r": null, "use_dora": null, "rank_pattern": null}')
    assert config.read(tmp_path).config == AdapterConfig()


def test_a_link_out_of_the_folder_is_not_read(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "adapter_config.json").rename(tmp_path / "elsewhere.json")
    (folder / "adapter_config.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(UnreadableAdapter, match="link"):
        Adapter.open(folder)


def test_a_pipe_does_not_hang_the_scan(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "adapter_config.json").unlink()
    os.mkfifo(folder / "adapter_config.json")
    with pytest.raises(UnreadableAdapter):
        Adapter.open(folder)


@pytest.mark.parametrize(
    "settings",
    [
        {"r": 0},
        {"r": -4},
        {"r": 10**400},
        {"lora_alpha": 1e308},
        {"rank_pattern": {"q_proj": 0}},
        {"rank_pattern": {"q_proj": 10**400}},
        {"alpha_pattern": {"q_proj": -1e300}},
        {"alpha_pattern": {"(q_proj": 1}},
        {"alpha_pattern": {"(?=q)q_proj": 1}},
        {"alpha_pattern": {"(a{1000}){1000}": 1}},
        {"alpha_pattern": {"(?>q)_proj": 1}},
        {"alpha_pattern": {"q++_proj": 1}},
        {"alpha_pattern": {".*[[:alnum:]]_proj": 8, ".*_proj": 8000}},
    ],
    ids=str,
)
def test_a_scaling_that_cannot_be_computed_leaves_the_modules_not_measured(settings: dict[str, Any], tmp_path: Path) -> None:
    delta = deltas.read(Adapter.open(adapter(tmp_path / "a", **settings)))
    assert not delta.changes
    assert [u.what for u in delta.unmeasured] == [f"model.layers.{i}.self_attn.q_proj" for i in range(2)]
    assert all(u.why.isprintable() for u in delta.unmeasured)


def test_thousands_of_patterns_on_thousands_of_modules_are_matched_in_time() -> None:
    many = AdapterConfig(rank_pattern={f"layers.{i}.q_proj": 4 for i in range(4000)})
    started = time.process_time()
    for layer in range(100):
        many.scaling(f"model.layers.{layer}.k_proj")
    assert time.process_time() - started < 5


@pytest.mark.parametrize("pattern", ["(a+)+$", "(.*)*b", "((a|b)*c?)*d", "(" * 30 + "a*" + ")*" * 30], ids=str)
def test_a_pattern_that_hangs_other_engines_returns_at_once(pattern: str) -> None:
    hostile = AdapterConfig(rank_pattern={pattern: 4})
    started = time.process_time()
    try:
        hostile.scaling("a" * 1000)
    except ValueError as error:
        assert str(error).isprintable()
    assert time.process_time() - started < 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**400), 10**400) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | st.just("q_proj"), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from(AdapterConfig.__struct_fields__) | st.text(max_size=6)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(fields, json_values, max_size=5))
def test_any_object_is_a_configuration_or_refused(written: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"} | written))
        try:
            found = config.read(folder).config
        except UnreadableAdapter as error:
            assert str(error).isprintable()
            return
        try:
            assert np.isfinite(found.scaling("model.layers.0.self_attn.q_proj"))
        except ValueError as error:
            assert str(error).isprintable()


@pytest.mark.model
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 8}},
        {"alpha_pattern": {r"layers\.1\..*": 3, "q_proj": 5}},
        {"alpha_pattern": {"proj": 3, "0.k_proj": 7}, "rank_pattern": {"layers.0.q_proj": 2, "q_proj": 16}, "use_rslora": True},
    ],
    ids=str,
)
def test_scalings_equal_those_of_peft(fields: dict[str, Any]) -> None:
    from peft import LoraConfig, inject_adapter_in_model
    from torch import nn

    def block() -> nn.Module:
        return nn.ModuleDict({"q_proj": nn.Linear(4, 4), "k_proj": nn.Linear(4, 4)})

    model = nn.ModuleDict({"layers": nn.ModuleList([block(), block()])})
    inject_adapter_in_model(LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "k_proj"], **fields), model)
    ours = AdapterConfig(r=4, lora_alpha=8, **fields)
    theirs = {name: module.scaling["default"] for name, module in model.named_modules() if hasattr(module, "scaling")}
    assert len(theirs) == 4
    assert {name: ours.scaling(name) for name in theirs} == pytest.approx(theirs)
