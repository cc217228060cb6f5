from __future__ import annotations

import json
import struct
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import load, save

from scanner.delta import delta as deltas
from scanner.delta.reading import PREFIX
from scanner.errors import UnreadableAdapter
from scanner.files.adapter import Adapter
from scanner.files.safetensors_file import LARGEST_HEADER, SafetensorsFile
from scanner.files.weights import Irregularity
from tests.adapters import adapter

ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
VALID = save({"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(2, np.float16)}, {"format": "pt"})


def whole(header: Any, data: bytes = b"\0" * 4) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def named(name: str) -> bytes:
    return whole({name: ONE})


BROKEN = {
    "nothing": b"",
    "seven bytes": b"\0" * 7,
    "length beyond the file": struct.pack("<Q", 2**63) + b"{}",
    "header over 16 MiB": whole(b"{" + b" " * LARGEST_HEADER + b"}"),
    "byte order mark": whole(b"\xef\xbb\xbf{}", b""),
    "list for an object": whole(b'[{"a": 1}]', b""),
    "not UTF-8": whole(b'{"\xff": 1}'),
    "200,000 deep": whole(b'{"a":' * 200_000 + b"1" + b"}" * 200_000),
    "brackets 200,000 deep": whole(b'{"a":' + b"[" * 200_000),
    "digits without end": whole(b'{"a":' + b"9" * 100_000 + b"}"),
    "NaN": whole(b'{"a": NaN}'),
    "truncated data": whole({"a": ONE}, b"\0" * 3),
    "trailing bytes": whole({"a": ONE}, b"\0" * 5),
    "gap at the start": whole({"a": ONE | {"data_offsets": [4, 8]}}, b"\0" * 8),
    "same bytes twice": whole({"a": ONE, "b": ONE}),
    "offsets backwards": whole({"a": ONE | {"data_offsets": [4, 0]}}),
    "three offsets": whole({"a": ONE | {"data_offsets": [0, 2, 4]}}),
    "offset is true": whole({"a": {"dtype": "U8", "shape": [1], "data_offsets": [False, True]}}, b"\0"),
    "dtype is a list": whole({"a": ONE | {"dtype": ["F32"]}}),
    "shape is a number": whole({"a": ONE | {"shape": 1}}),
    "shape of fractions": whole({"a": ONE | {"shape": [1.0]}}),
    "shape overflows": whole({"a": {"dtype": "F32", "shape": [2**47] * 8, "data_offsets": [0, 4]}}),
    "shape wraps around to fit": whole({"a": {"dtype": "F32", "shape": [2**32, 2**32], "data_offsets": [0, 0]}}, b""),
    "entry is null": whole({"a": None}),
    "no shape": whole({"a": {"dtype": "F32", "data_offsets": [0, 4]}}),
    "metadata is a list": whole({"__metadata__": ["a"], "a": ONE}),
    "metadata twice": whole(b'{"__metadata__": {}, "__metadata__": {"a": "b"}}', b""),
    "field twice": whole(b'{"a": {"dtype": "F32", "dtype": "F16", "shape": [1], "data_offsets": [0, 4]}}'),
}


FLAWED = {
    "space before the brace": whole(b" " + json.dumps({"a": ONE}).encode()),
    "named twice": whole(b'{"a": %s, "a": %s}' % ((json.dumps(ONE).encode(),) * 2)),
    "named twice, once in escapes": whole(b'{"a": %s, "\\u0061": %s}' % ((json.dumps(ONE).encode(),) * 2)),
    "metadata named twice": whole(b'{"__metadata__": {"x": "1", "x": "2"}, "a": %s}' % json.dumps(ONE).encode()),
    "a field of its own": whole({"a": ONE | {"note": "x"}}),
    "NUL in a name": named("a\0b"),
    "newline in a name": named("a\nb"),
    "escape sequence in a name": named("\x1b[2Ja"),
    "right-to-left override in a name": named("a\u202eb"),
    "lone surrogate in a name": named("a\ud800"),
    "empty name": named(""),
    "name of a megabyte": named("a" * 1_000_000),
}


@pytest.mark.parametrize("name", FLAWED)
def test_what_the_library_loads_although_the_format_forbids_it_is_a_flaw(name: str, tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(FLAWED[name])
    file = SafetensorsFile(tmp_path / "x.safetensors")
    (flaw,) = file.flaws
    assert (flaw.what + flaw.item).isprintable()
    assert len(flaw.what) < 300
    assert list(file.tensors) == ([] if flaw.kind is Irregularity.HOSTILE_NAME else ["a"])


@pytest.mark.parametrize("name", [n for n in FLAWED if n != "lone surrogate in a name"])
def test_the_library_does_load_what_is_called_a_flaw(name: str) -> None:
    assert len(load(FLAWED[name])) == 1


@pytest.mark.parametrize(
    "name", ["trailing bytes", "gap at the start", "same bytes twice", "field twice", "metadata twice", "truncated data", "byte order mark"]
)
def test_the_library_does_refuse_what_is_refused(name: str) -> None:
    with pytest.raises(SafetensorError):
        load(BROKEN[name])


def test_a_file_of_a_thousand_flaws_keeps_a_hundred(tmp_path: Path) -> None:
    entries = {f"\x1b{i}": {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]} for i in range(1000)}
    (tmp_path / "x").write_bytes(whole(entries, bytes(1000)))
    assert len(SafetensorsFile(tmp_path / "x").flaws) == 100


def refusal(data: bytes, folder: Path) -> str:
    file = folder / "x.safetensors"
    file.write_bytes(data)
    with pytest.raises(UnreadableAdapter) as error:
        SafetensorsFile(file)
    return str(error.value)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_is_refused_in_one_printable_line(name: str, tmp_path: Path) -> None:
    started = time.process_time()
    message = refusal(BROKEN[name], tmp_path)
    assert message.startswith("x.safetensors: ")
    assert message.isprintable()
    assert len(message) < 500
    assert time.process_time() - started < 10


def test_the_valid_file_the_mutations_start_from_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(VALID)
    file = SafetensorsFile(tmp_path / "x")
    assert file.metadata == {"format": "pt"}
    np.testing.assert_array_equal(file.read("a"), np.arange(6).reshape(2, 3))


def accept_or_refuse(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(data)
        try:
            file = SafetensorsFile(path)
        except UnreadableAdapter as error:
            assert str(error).isprintable()
            return
        if file.flaws:
            return
        assert sum(t.end - t.start for t in file.tensors.values()) + 8 + int.from_bytes(data[:8], "little") == len(data)
        for name, tensor in file.tensors.items():
            assert name.isprintable()
            if tensor.dtype in ("F32", "F16", "BF16", "F64"):
                assert file.read(name).shape == tensor.shape


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), min_size=1, max_size=4), st.integers(0, len(VALID)))
def test_a_file_with_changed_bytes_or_cut_short_is_accepted_whole_or_refused(changes: list[tuple[int, int]], length: int) -> None:
    data = bytearray(VALID)
    for at, value in changes:
        data[at] = value
    accept_or_refuse(bytes(data))
    accept_or_refuse(bytes(data)[:length])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5) | st.just("F32"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets", "a"]), inner, max_size=3),
    max_leaves=8,
)
entries = st.fixed_dictionaries({"dtype": json_values | st.just("U8"), "shape": json_values | st.just([2]), "data_offsets": json_values | st.just([0, 2])})


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(max_size=4) | st.just("__metadata__"), json_values | entries, max_size=3), st.binary(max_size=8))
def test_any_json_header_is_accepted_whole_or_refused(header: dict[str, Any], data: bytes) -> None:
    accept_or_refuse(whole(header, data))


@pytest.mark.parametrize("dtype", ["F64", "F32", "F16"])
def test_values_come_back_as_written(dtype: str, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(3, 5)).astype({"F64": "<f8", "F32": "<f4", "F16": "<f2"}[dtype])
    (tmp_path / "x").write_bytes(save({"a": values}))
    read = SafetensorsFile(tmp_path / "x").read("a")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, values.astype(np.float32))


def test_bfloat16_values_are_the_upper_halves_of_float32(tmp_path: Path) -> None:
    upper = np.array([0x3F80, 0xC020, 0x7F80, 0x0001, 0x8000], "<u2")
    (tmp_path / "x").write_bytes(whole({"a": {"dtype": "BF16", "shape": [5], "data_offsets": [0, 10]}}, upper.tobytes()))
    read = SafetensorsFile(tmp_path / "x").read("a")
    assert read[:2].tolist() == [1.0, -2.5]
    np.testing.assert_array_equal(read.view(np.uint32), upper.astype(np.uint32) << 16)


def test_integers_are_not_read_as_weights(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(save({"a": np.ones(2, np.int32)}))
    with pytest.raises(UnreadableAdapter, match="is I32"):
        SafetensorsFile(tmp_path / "x").read("a")


def test_a_name_of_prefixes_does_not_take_quadratic_time(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "adapter_model.safetensors").write_bytes(named(PREFIX * 200_000 + "x.lora_A.weight"))
    started = time.process_time()
    assert deltas.read(Adapter.open(folder)).modules == ()
    assert time.process_time() - started < 5
