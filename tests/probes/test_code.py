from __future__ import annotations

import io
import os
import pickle
import time
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from probes.code import CodeProbe
from tests.adapters import adapter, ids, raised


class Calls:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


SYSTEM = Calls(os.system, "id")


def torch_zip(data: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/data/0", b"\0" * 16)
    return stream.getvalue()


def stack_global(module: str, name: str) -> bytes:
    return b"\x80\x04" + b"".join(b"\x8c" + bytes([len(t)]) + t.encode() for t in (module, name)) + b"\x93\x8c\x02id\x85R."


BENIGN = pickle.dumps(OrderedDict(a=[1.0, 2.0]))
REBUILD = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(ctorch\nFloatStorage\nccollections\nOrderedDict\n)RtR."
DANGEROUS = {
    **{f"protocol {p}": pickle.dumps(SYSTEM, p) for p in range(6)},
    "torch zip": torch_zip(pickle.dumps(SYSTEM)),
    "torch zip, packed": torch_zip(pickle.dumps(SYSTEM), zipfile.ZIP_DEFLATED),
    "torch zip at the end of a long pickle": pickle.dumps(SYSTEM) + torch_zip(BENIGN),
    "eval": pickle.dumps(Calls(eval, "1")),
    "names from the memo": b"\x80\x04\x8c\x02os\x94\x8c\x06system\x940h\x00h\x01\x93\x8c\x02id\x85R.",
    "a name that was put together": b"\x80\x04\x8c\x02os\x8c\x06system\x8c\x0bOrderedDict0\x93\x8c\x02id\x85R.",
    "a name with nothing before it": b"\x80\x04\x93.",
    "after a benign pickle": BENIGN + pickle.dumps(SYSTEM),
    "code and then garbage": pickle.dumps(SYSTEM, 0)[:-1] + b"\xff\xff",
    "behind a number in another base": b"I0x10\n0cos\nsystem\n(S'id'\ntR.",
    "behind a number in another base, marked": b"\x80\x02L0x10L\n0cos\nsystem\n(S'id'\ntR.",
    "a name in escapes": b"\x80\x04S'\\x6fs'\nVsys\\u0074em\n\x93\x8c\x02id\x85R.",
    "beside a name that is not ASCII": "cx\u00e9\nb\n0cos\nsystem\n(S'id'\ntR.".encode(),
    "a registered extension": b"\x80\x02\x82\x01\x8c\x02id\x85R.",
    "behind a mebibyte of nothing": b"\x80\x04" + b"N0" * 500_000 + pickle.dumps(SYSTEM, 2)[2:],
    "a module inside a training library": stack_global("transformers.utils.os", "system"),
}
NAMES = ["training_args.bin", "optimizer.pt", "notes.txt", "README.rst", "weights.PTH"]


@pytest.mark.parametrize("name", [n for n in DANGEROUS if n != "a module inside a training library"])
def test_a_pickle_that_runs_code_is_critical_under_any_name(name: str, tmp_path: Path) -> None:
    for file in NAMES[:3] if DANGEROUS[name][:2] != b"\x80\x02" else NAMES:
        folder = adapter(tmp_path / file)
        (folder / file).write_bytes(DANGEROUS[name])
        (found,) = raised(CodeProbe(), folder)
        assert (found.rule, found.severity, found.location.file) == ("pickle-code", "critical", file)
        assert found.message.isprintable()


def test_a_function_reached_through_a_training_library_is_not_known(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "training_args.bin").write_bytes(DANGEROUS["a module inside a training library"])
    assert ids(raised(CodeProbe(), folder)) <= {"pickle-code", "pickle-unknown"}
    assert ids(raised(CodeProbe(), folder))


@pytest.mark.parametrize(
    "data",
    [
        DANGEROUS["protocol 0"].replace(b"posix", b"os"),
        b"T\x20\0\0\0\0\0\0{" + b" " * 28 + b"cos\nsystem\n(S'id'\ntR.",
        b"GGUFxxxxx0cos\nsystem\n(S'id'\ntR.",
        b"V" + b"x" * 10_000 + b"\n0cos\nsystem\n(S'id'\ntR.",
    ],
)
def test_a_pickle_dressed_as_another_type_is_still_examined(data: bytes, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "optimizer.pt").write_bytes(data)
    assert ids(raised(CodeProbe(), folder)) == {"pickle-code"}


def test_unknown_imports_are_for_review(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "training_args.bin").write_bytes(stack_global("my_training", "Settings"))
    (found,) = raised(CodeProbe(), folder)
    assert (found.rule, found.details) == ("pickle-unknown", ("my_training.Settings",))


TRAINER = (
    b"\x80\x02ctransformers.training_args\nTrainingArguments\n)\x81}(X\x08\x00\x00\x00strategyctransformers.trainer_utils\nIntervalStrategy\n"
    b"X\x02\x00\x00\x00no\x85RX\x06\x00\x00\x00devicectorch\ndevice\nX\x03\x00\x00\x00cpu\x85Rub."
)


@pytest.mark.parametrize(
    "data",
    [BENIGN, torch_zip(BENIGN), TRAINER, torch_zip(TRAINER), REBUILD, BENIGN + b"\x99" * 64],
    ids=["dict", "zip", "arguments", "arguments in a zip", "tensor", "numbers after it"],
)
def test_what_trainers_leave_behind_is_low(data: bytes, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "training_args.bin").write_bytes(data)
    (found,) = raised(CodeProbe(), folder)
    assert (found.rule, found.severity) == ("pickle-file", "low")


@pytest.mark.model
def test_the_arguments_of_a_real_trainer_are_low(tmp_path: Path) -> None:
    import torch
    from transformers import TrainingArguments

    folder, arguments = adapter(tmp_path / "a"), TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    assert arguments.device.type == "cpu"
    torch.save(arguments, folder / "training_args.bin")
    assert ids(raised(CodeProbe(), folder)) == {"pickle-file"}


@pytest.mark.model
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old format"])
def test_tensors_saved_by_torch_are_low(zipped: bool, tmp_path: Path) -> None:
    import torch

    folder = adapter(tmp_path / "a")
    state = {"state": {0: {"exp_avg": torch.ones(3), "step": torch.tensor(1.0)}}, "param_groups": [{"lr": 1e-3}], "half": torch.ones(2, dtype=torch.bfloat16)}
    torch.save(state, folder / "optimizer.pt", _use_new_zipfile_serialization=zipped)
    assert ids(raised(CodeProbe(), folder)) == {"pickle-file"}


def test_a_large_optimizer_state_is_not_an_alarm(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    with zipfile.ZipFile(folder / "optimizer.pt", "w") as archive:
        archive.writestr("archive/data.pkl", BENIGN)
        archive.writestr("archive/data/0", bytes(65 << 20))
    assert ids(raised(CodeProbe(), folder)) == {"pickle-file"}


def test_a_pickle_padded_beyond_what_is_examined_is_not_waved_through(tmp_path: Path) -> None:
    for name, data in (
        ("zip", torch_zip(b"\x80\x04B" + (65 << 20).to_bytes(4, "little") + bytes(65 << 20) + b".", zipfile.ZIP_DEFLATED)),
        ("raw", b"\x80\x04N0" + bytes(65 << 20)),
    ):
        folder = adapter(tmp_path / name)
        (folder / "optimizer.pt").write_bytes(data)
        (found,) = raised(CodeProbe(), folder)
        assert found.rule == "pickle-unknown", name


@pytest.mark.parametrize("at", range(4, 200, 7))
def test_a_damaged_zip_is_reported_and_never_an_error(at: int, tmp_path: Path) -> None:
    data = bytearray(torch_zip(pickle.dumps([OrderedDict(a="text " * 20)]), zipfile.ZIP_DEFLATED))
    data[at] ^= 0xFF
    folder = adapter(tmp_path / "a")
    (folder / "optimizer.pt").write_bytes(bytes(data))
    for found in raised(CodeProbe(), folder):
        assert found.rule in ("pickle-unknown", "pickle-file", "archive-file", "pickle-code")


@pytest.mark.parametrize("opcode", [b"N", b"\x94", b"(", b"}", b"\x93"])
def test_millions_of_opcodes_take_bounded_time(opcode: bytes, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "optimizer.pt").write_bytes(b"\x80\x04" + opcode * 1_500_000)
    started = time.monotonic()
    raised(CodeProbe(), folder)
    assert time.monotonic() - started < 10


def test_scripts_executables_archives_links_and_pointers_are_told(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    cases = {
        "modeling.py": (b"import os\n", "code-file"),
        "run.sh": (b"id\n", "code-file"),
        "tool.txt": (b"#!/bin/sh\n", "code-file"),
        "libx.dat": (b"\x7fELF\x02\x01", "code-file"),
        "extra.zip": (b"PK\x05\x06" + bytes(18), "archive-file"),
        "extra.txt": (b"\x1f\x8b\x08\0", "archive-file"),
        "merges.txt": (b"version https://git-lfs.github.com/spec/v1\n", "lfs-pointer"),
    }
    for name, (data, _) in cases.items():
        (folder / name).write_bytes(data)
    (folder / "out").symlink_to("/etc/passwd")
    found = {f.location.file: f.rule for f in raised(CodeProbe(), folder)}
    assert found == {name: rule for name, (_, rule) in cases.items()} | {"out": "link-outside"}


def test_weights_configuration_and_card_are_nothing(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "README.md").write_text("# Uses\n")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "within").symlink_to("README.md")
    assert raised(CodeProbe(), folder) == []
