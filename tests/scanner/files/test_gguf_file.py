from __future__ import annotations

import struct
import tempfile
import time
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf.constants import GGML_QUANT_SIZES
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.errors import UnreadableAdapter
from scanner.files.adapter import Adapter
from scanner.files.dialects import Dialect
from scanner.files.gguf_file import _PLAIN, QUANTISED, GgufFile
from scanner.files.weights import Irregularity

A = np.arange(128, dtype=np.float32).reshape(2, 64)
B = np.arange(16, dtype=np.float16).reshape(8, 2)


def lora(path: Path, alpha: float | None = 4, kind: str = "adapter", extra: dict[str, Any] | None = None) -> Path:
    """A GGUF LoRA adapter as convert_lora_to_gguf.py writes it, by ggml's own library."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type(kind)
    writer.add_string("adapter.type", "lora")
    if alpha is not None:
        writer.add_float32("adapter.lora.alpha", alpha)
    writer.add_array("tags", ["a", "b"])
    writer.add_array("numbers", list(range(200)))
    writer.add_tensor("blk.0.attn_q.weight.lora_a", A)
    writer.add_tensor("blk.0.attn_q.weight.lora_b", B)
    for name, value in (extra or {}).items():
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_what_ggml_writes_is_read_back(tmp_path: Path) -> None:
    file = GgufFile(lora(tmp_path / "a.gguf"))
    np.testing.assert_array_equal(file.read("blk.0.attn_q.weight.lora_a"), A)
    np.testing.assert_array_equal(file.read("blk.0.attn_q.weight.lora_b"), B.astype(np.float32))
    assert file.fields["adapter.lora.alpha"] == 4
    assert file.fields["tags"] == ["a", "b"]
    assert file.fields["numbers"] == list(range(64))
    assert file.flaws == ()


def test_quantised_factors_are_expanded_as_ggml_expands_them(tmp_path: Path) -> None:
    packed = gguf.quants.quantize(A, gguf.GGMLQuantizationType.Q8_0)
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "llama")
    writer.add_tensor("x", packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    file = GgufFile(tmp_path / "a.gguf")
    assert (file.tensors["x"].dtype, file.tensors["x"].shape) == ("Q8_0", (2, 64))
    np.testing.assert_array_equal(file.read("x"), gguf.quants.dequantize(packed, gguf.GGMLQuantizationType.Q8_0))


def test_the_table_of_types_is_ggmls() -> None:
    known = {k: ("F32" if n == "F32" else n, 1, 0) for k, n in _PLAIN.items()} | QUANTISED
    assert {t.value for t in GGML_QUANT_SIZES} == set(known)
    assert {t.value: (t.name, *GGML_QUANT_SIZES[t]) for t in GGML_QUANT_SIZES if t.value in QUANTISED} == QUANTISED


@pytest.mark.parametrize(("alpha", "scale"), [(4, 2), (None, 1), (0, 1)])
def test_an_adapter_is_read_with_llama_cpps_scaling(alpha: float | None, scale: float, tmp_path: Path) -> None:
    opened = Adapter.open(lora(tmp_path / "a.gguf", alpha))
    assert opened.dialect is Dialect.GGUF
    assert set(opened.weights.tensors) == {"base_model.model.blk.0.attn_q.lora_A.weight", "base_model.model.blk.0.attn_q.lora_B.weight"}
    assert opened.config.scaling("blk.0.attn_q") == scale
    np.testing.assert_array_equal(opened.weights.read("base_model.model.blk.0.attn_q.lora_A.weight"), A)


def test_a_model_is_not_an_adapter(tmp_path: Path) -> None:
    with pytest.raises(UnreadableAdapter, match="a GGUF model, and not"):
        Adapter.open(lora(tmp_path / "a.gguf", kind="model"))


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def field(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def tensor(name: str = "x", shape: tuple[int, ...] = (4,), kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def whole(*parts: bytes, fields: int = 0, tensors: int = 0, data: bytes = b"", version: int = 3) -> bytes:
    header = b"GGUF" + struct.pack("<IQQ", version, tensors, fields) + b"".join(parts)
    return header + bytes(-len(header) % 32) + data


BROKEN = {
    "the magic alone": b"GGUF",
    "version 1": whole(version=1),
    "big-endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    "fields without end": whole(fields=2**63),
    "tensors without end": whole(tensors=2**63),
    "more fields than there are": whole(fields=5),
    "a text without end": whole(struct.pack("<Q", 2**62) + b"x", fields=1),
    "a value without end": whole(field("a", 8, struct.pack("<Q", 2**62)), fields=1),
    "a list without end": whole(field("a", 9, struct.pack("<IQ", 0, 2**62)), fields=1),
    "a list of texts without end": whole(field("a", 9, struct.pack("<IQ", 8, 2**62)), fields=1),
    "a list of empty lists": whole(field("a", 9, struct.pack("<IQ", 9, 2**40)), fields=1),
    "lists in lists in lists": whole(field("a", 9, struct.pack("<IQIQIQ", 9, 1, 9, 1, 9, 1)), fields=1),
    "a type that is not known": whole(field("a", 99, b""), fields=1),
    "a field twice": whole(field("a", 0, b"\1"), field("a", 0, b"\2"), fields=2),
    "alignment of three": whole(field("general.alignment", 4, struct.pack("<I", 3)), fields=1),
    "alignment of zero": whole(field("general.alignment", 4, struct.pack("<I", 0)), fields=1),
    "alignment in words": whole(field("general.alignment", 8, text("32")), fields=1),
    "a tensor twice": whole(tensor(), tensor(offset=32), tensors=2, data=bytes(64)),
    "an overlap": whole(tensor(), tensor("y"), tensors=2, data=bytes(64)),
    "a gap": whole(tensor(offset=32), tensors=1, data=bytes(64)),
    "an offset that wraps": whole(tensor(offset=2**64 - 32), tensors=1, data=bytes(64)),
    "a shape that wraps": whole(tensor(shape=(2**32, 2**32)), tensors=1, data=bytes(64)),
    "five dimensions": whole(tensor(shape=(1, 1, 1, 1, 1)), tensors=1, data=bytes(64)),
    "dimensions without end": whole(text("x") + struct.pack("<I", 2**31), tensors=1),
    "a ggml type that is not known": whole(tensor(kind=4), tensors=1, data=bytes(64)),
    "rows that do not fill a block": whole(tensor(kind=8), tensors=1, data=bytes(64)),
    "truncated": whole(tensor(shape=(64,)), tensors=1, data=bytes(255)),
    "a name of a hundred characters": whole(tensor("x" * 100), tensors=1, data=bytes(64)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_is_refused_in_one_printable_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(BROKEN[name])
    started = time.process_time()
    with pytest.raises(UnreadableAdapter) as error:
        GgufFile(tmp_path / "a.gguf")
    assert str(error.value).startswith("a.gguf: ")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 400
    assert time.process_time() - started < 5


def test_names_no_module_has_and_bytes_after_the_end_are_flaws(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(whole(tensor("a\x1b[2J"), tensor("../b", offset=32), tensors=2, data=bytes(64) + b"payload"))
    file = GgufFile(tmp_path / "a.gguf")
    assert [f.kind for f in file.flaws] == [Irregularity.HOSTILE_NAME, Irregularity.HOSTILE_NAME, Irregularity.APPENDED]
    assert list(file.tensors) == ["../b"]
    assert all((f.what + f.item).isprintable() for f in file.flaws)


with tempfile.TemporaryDirectory() as _folder:
    VALID = lora(Path(_folder) / "a.gguf").read_bytes()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), min_size=1, max_size=5), st.integers(0, len(VALID)))
def test_a_file_with_changed_bytes_or_cut_short_is_accepted_whole_or_refused(changes: list[tuple[int, int]], length: int) -> None:
    data = bytearray(VALID)
    for at, value in changes:
        data[at] = value
    with tempfile.TemporaryDirectory() as folder:
        for tried in (bytes(data), bytes(data)[:length]):
            path = Path(folder) / "a"
            path.write_bytes(tried)
            try:
                file = GgufFile(path)
                for name, entry in file.tensors.items():
                    if entry.dtype in ("F32", "F16", "Q8_0"):
                        assert file.read(name).shape == entry.shape
            except UnreadableAdapter as error:
                assert str(error).isprintable()
