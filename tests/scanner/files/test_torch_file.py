from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.errors import UnreadableAdapter
from scanner.files.adapter import Adapter
from scanner.files.tensor_pickle import NotTensors, tensors
from scanner.files.torch_file import TorchFile
from scanner.files.weights import Irregularity
from tests.adapters import adapter
from tests.torch_files import archive, saved, tensor_map

VALUES = {"a.lora_A.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([1.5, -2], np.float16), "i": np.array([7, 8], np.int64)}


def written(folder: Path, data: bytes) -> Path:
    (folder / "adapter_model.bin").write_bytes(data)
    return folder / "adapter_model.bin"


def test_tensors_are_read_as_they_were_saved(tmp_path: Path) -> None:
    file = TorchFile(written(tmp_path, saved(VALUES)))
    assert {n: (t.dtype, t.shape) for n, t in file.tensors.items()} == {"a.lora_A.weight": ("F32", (2, 3)), "b": ("F16", (2,)), "i": ("I64", (2,))}
    np.testing.assert_array_equal(file.read("a.lora_A.weight"), VALUES["a.lora_A.weight"])
    np.testing.assert_array_equal(file.read("b"), VALUES["b"])
    np.testing.assert_array_equal(file.integers("i"), VALUES["i"])
    with pytest.raises(UnreadableAdapter, match="is I64"):
        file.read("i")
    os.utime(file.path, ns=(0, 0))
    with pytest.raises(UnreadableAdapter, match="changed"):
        file.read("b")


def test_an_adapter_saved_by_torch_is_the_one_saved_as_safetensors(tmp_path: Path) -> None:
    from tests.adapters import tensors as factors

    folder = adapter(tmp_path / "a")
    (folder / "adapter_model.safetensors").unlink()
    written(folder, saved(factors()))
    opened = Adapter.open(folder)
    assert opened.weights_files == ("adapter_model.bin",)
    for name, value in factors().items():
        np.testing.assert_array_equal(opened.weights.read(name), value)


@pytest.mark.model
def test_what_torch_itself_saves_is_read_as_torch_reads_it(tmp_path: Path) -> None:
    import torch

    wide = torch.randn(4, 6)
    state = {
        "half": torch.randn(3, 2, dtype=torch.bfloat16),
        "turned": wide.t(),
        "window": wide[1:3, 2:5],
        "parameter": torch.nn.Parameter(torch.randn(2)),
        "scalar": torch.tensor(1.5),
        "empty": torch.zeros(0, 3),
        "many": torch.arange(5),
    }
    module = torch.nn.Linear(2, 3).state_dict()
    for number, saved_state in enumerate((state, module)):
        path = tmp_path / f"{number}.bin"
        torch.save(saved_state, path)
        file, loaded = TorchFile(path), torch.load(path, weights_only=True)
        assert set(file.tensors) == set(loaded)
        for name, value in loaded.items():
            read = file.integers(name) if name == "many" else file.read(name)
            np.testing.assert_array_equal(read, value.detach().to(torch.int64 if name == "many" else torch.float32).numpy())


class Calls:
    def __reduce__(self) -> Any:
        return os.system, ("id",)


BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "a raw pickle": pickle.dumps({"a": 1}),
    "a pickle that runs code": archive(pickle.dumps({"a": Calls()}, 2)),
    "code through the stack": archive(pickle.dumps({"a": Calls()}, 4)),
    "no pickle": archive(None),
    "two pickles": archive(tensor_map({}), {"other/data.pkl": tensor_map({})}),
    "a list": archive(pickle.dumps([1], 2)),
    "numbers under names": archive(pickle.dumps({"a": 1}, 2)),
    "a name that is a number": archive(tensor_map({"a": ("FloatStorage", "0", 4, 0, (4,), (1,))}).replace(b"X\x01\x00\x00\x00a", b"K\x01")),
    "beyond its storage": archive(tensor_map({"a": ("FloatStorage", "0", 4, 1, (4,), (1,))}), {"x/data/0": bytes(16)}),
    "larger than its storage": archive(tensor_map({"a": ("FloatStorage", "0", 1, 0, (30000, 30000), (0, 0))}), {"x/data/0": bytes(16)}),
    "a shape that overflows": archive(tensor_map({"a": ("FloatStorage", "0", 4, 0, (2**40, 2**40), (0, 0))}), {"x/data/0": bytes(16)}),
    "negative strides": archive(tensor_map({"a": ("FloatStorage", "0", 4, 3, (4,), (-1,))}), {"x/data/0": bytes(16)}),
    "no bytes": archive(tensor_map({"a": ("FloatStorage", "0", 4, 0, (4,), (1,))})),
    "too few bytes": archive(tensor_map({"a": ("FloatStorage", "0", 4, 0, (4,), (1,))}), {"x/data/0": bytes(15)}),
    "a storage of objects": archive(tensor_map({"a": ("ObjectStorage", "0", 4, 0, (4,), (1,))}), {"x/data/0": bytes(16)}),
    "compressed": archive(tensor_map({"a": ("FloatStorage", "0", 4, 0, (4,), (1,))}), {"x/data/0": bytes(16)}, zipfile.ZIP_DEFLATED),
    "big-endian": archive(tensor_map({}), {"x/byteorder": b"big"}),
    "stack underflow": archive(b"\x80\x02\x85."),
    "a mark that is not there": archive(b"\x80\x02]e."),
    "memo that is not there": archive(b"\x80\x02h\x07."),
    "a map inside itself": archive(b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s."),
    "no end": archive(b"\x80\x02}"),
    "a million nested tuples": archive(b"\x80\x02" + b")" + b"\x85" * 1_000_000 + b"."),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_not_a_map_of_tensors_is_refused_in_one_printable_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableAdapter) as error:
        TorchFile(written(tmp_path, BROKEN[name]))
    assert str(error.value).startswith("adapter_model.bin: ")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 400


def test_a_name_written_twice_and_a_name_of_controls_are_flaws(tmp_path: Path) -> None:
    whole = ("FloatStorage", "0", 4, 0, (4,), (1,))
    twice = archive(tensor_map([("a", whole), ("a", whole), ("b\x1b[2J", whole)]), {"x/data/0": bytes(16)})
    file = TorchFile(written(tmp_path, twice))
    assert [f.kind for f in file.flaws] == [Irregularity.AMBIGUOUS, Irregularity.HOSTILE_NAME]
    assert list(file.tensors) == ["a"]


def test_an_entry_named_twice_in_the_zip_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as zipped, pytest.warns(UserWarning):
        zipped.writestr("x/data.pkl", tensor_map({}))
        zipped.writestr("x/data.pkl", pickle.dumps({"a": Calls()}, 2))
    with pytest.raises(UnreadableAdapter, match="twice"):
        TorchFile(written(tmp_path, stream.getvalue()))


def test_a_zip_with_an_endless_directory_is_refused(tmp_path: Path) -> None:
    data = bytearray(saved(VALUES))
    at = data.rindex(b"PK\x05\x06")
    data[at + 8 : at + 12] = b"\xfe\xff\xfe\xff"
    data[at + 12 : at + 16] = (2**31).to_bytes(4, "little")
    with pytest.raises(UnreadableAdapter, match="more than is read"):
        TorchFile(written(tmp_path, bytes(data)))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4), st.integers(1, 10_000))
def test_changed_bytes_are_read_or_refused(changes: list[tuple[int, int]], length: int) -> None:
    import tempfile

    data = bytearray(saved(VALUES))
    for at, value in changes:
        data[at % len(data)] = value
    with tempfile.TemporaryDirectory() as folder:
        for tried in (bytes(data), bytes(data)[: length % len(data)]):
            try:
                file = TorchFile(written(Path(folder), tried))
                for name, tensor in file.tensors.items():
                    if tensor.dtype in ("F32", "F16"):
                        assert file.read(name).shape == tensor.shape
            except UnreadableAdapter as error:
                assert str(error).isprintable()


OPCODES = st.sampled_from([b"}", b"]", b")", b"(", b"t", b"\x85", b"\x86", b"\x87", b"e", b"a", b"s", b"u", b"R", b"Q", b"b", b"N", b"\x88", b"\x89", b"q\x00", b"h\x00", b"\x94",
                           b"K\x01", b"X\x01\0\0\0a", b"X\x07\0\0\0storage", b"ctorch\nFloatStorage\n", b"ccollections\nOrderedDict\n", b"ctorch._utils\n_rebuild_tensor_v2\n", b"."])  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(OPCODES, max_size=40))
def test_any_opcodes_are_tensors_or_refused(parts: list[bytes]) -> None:
    try:
        found, _ = tensors(b"\x80\x02" + b"".join(parts) + b".")
    except NotTensors as error:
        assert str(error).isprintable()
    else:
        assert isinstance(found, dict)


def test_reading_a_torch_file_does_not_import_torch(tmp_path: Path) -> None:
    path = written(tmp_path, saved(VALUES))
    code = f"import sys; from pathlib import Path; from scanner.files.torch_file import TorchFile; TorchFile(Path({str(path)!r})).read('b'); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"
