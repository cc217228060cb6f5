from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import tarfile
import time
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from probes.code.probe import CodeProbe
from scanner.files import contents
from scanner.files.text import printable
from scanner.scan import scan
from scanner.verdict import Outcome
from tests.adapters import adapter, ids, raised
from tests.pickles import BENIGN, DANGEROUS, FUNCTIONS, LEFT_BY_TRAINERS, SCHEDULER, SYSTEM, reduced, stack_global, text, torch_zip

NAMES = ["training_args.bin", "optimizer.pt", "notes.txt", "README.rst", "weights.PTH"]


@pytest.mark.parametrize("name", DANGEROUS)
def test_a_pickle_that_runs_code_is_critical_under_any_name(name: str, tmp_path: Path) -> None:
    for file in NAMES[:3] if DANGEROUS[name][:2] != b"\x80\x02" else NAMES:
        folder = adapter(tmp_path / file)
        (folder / file).write_bytes(DANGEROUS[name])
        (found,) = raised(CodeProbe(), folder)
        assert (found.rule, found.severity, found.location.file) == ("pickle-code", "critical", file)
        assert found.message.isprintable()


def test_a_function_reached_through_a_training_library_is_not_known(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "training_args.bin").write_bytes(stack_global("transformers.utils.os", "system"))
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


@pytest.mark.parametrize("name", LEFT_BY_TRAINERS)
def test_what_trainers_leave_behind_is_low(name: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "training_args.bin").write_bytes(LEFT_BY_TRAINERS[name])
    (found,) = raised(CodeProbe(), folder)
    assert (found.rule, found.severity) == ("pickle-file", "low")


def test_the_states_that_deepspeed_leaves_behind_are_low(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "global_step5").mkdir()
    data = b"\x80\x02cdeepspeed.runtime.fp16.loss_scaler\nLossScaler\n)\x81}X\x05\x00\x00\x00scaleK\x01sb."
    (folder / "global_step5" / "mp_rank_00_model_states.pt").write_bytes(torch_zip(data))
    (found,) = raised(CodeProbe(), folder)
    assert (found.rule, found.severity) == ("pickle-file", "low")
    for name in ("fp16.loss_scaler.CreateLossScaler", "fp16.loss_scaler.logger", "zero.config.os", "engine.DeepSpeedEngine"):
        (folder / "x.pt").write_bytes(stack_global(*f"deepspeed.runtime.{name}".rsplit(".", 1)))
        assert "pickle-unknown" in ids(raised(CodeProbe(), folder))


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
        assert found.rule in ("pickle-unknown", "pickle-file", "archive-file", "archive-unread", "archive-entry", "polyglot")


@pytest.mark.parametrize("opcode", [b"N", b"\x94", b"(", b"}", b"\x93"])
def test_millions_of_opcodes_take_bounded_time(opcode: bytes, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "optimizer.pt").write_bytes(b"\x80\x04" + opcode * 1_500_000)
    started = time.process_time()
    raised(CodeProbe(), folder)
    assert time.process_time() - started < 10


def test_what_a_file_is_decides_and_not_its_name(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    cases = {
        "modeling.py": (b"import os\n", "code-file"),
        "run.sh": (b"id\n", "code-file"),
        "tool.txt": (b"#!/bin/sh\n", "code-file"),
        "look.ipynb": (b"{}", "notebook-file"),
        "libx.dat": (b"\x7fELF\x02\x01", "executable-file"),
        "setup.json": (b"MZ" + bytes(58) + b"\x40\0\0\0PE\0\0", "executable-file"),
        "extra.zip": (packed({"notes.txt": b"x"}), "archive-file"),
        "empty.zip": (b"PK\x05\x06" + bytes(18), "archive-file"),
        "extra.txt": (gzip.compress(b"words"), "archive-file"),
        "torn.txt": (b"\x1f\x8b\x08\0", "archive-unread"),
        "sealed": (b"7z\xbc\xaf\x27\x1c", "archive-unread"),
        "merges.txt": (b"version https://git-lfs.github.com/spec/v1\n", "lfs-pointer"),
        "photo\u202egnp.exe": (b"words", "file-name"),
    }
    for name, (data, _) in cases.items():
        (folder / name).write_bytes(data)
    (folder / "out").symlink_to("/etc/passwd")
    found = {f.location.file: f.rule for f in raised(CodeProbe(), folder)}
    assert found == {printable(name): rule for name, (_, rule) in cases.items()} | {"out": "link-outside"}


def test_a_pointer_makes_the_scan_incomplete(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "tokenizer.json").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    assert scan(folder).verdict.outcome is Outcome.INCOMPLETE


def packed(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return stream.getvalue()


def tarred(entries: dict[str, bytes], mode: str = "w:gz") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


EVIL = pickle.dumps(SYSTEM)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20) + b"\0\0\0\0IEND\xaeB`\x82"
OBJECTS = b"\x93NUMPY\x01\0" + (62).to_bytes(2, "little") + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(61) + b"\n"
NESTED = {
    "a zip": packed({"a/b.txt": EVIL}),
    "a zip in a zip": packed({"b.bin": packed({"c.png": EVIL})}),
    "a zip in a zip in a zip": packed({"b": packed({"c": packed({"d": EVIL})})}),
    "a torch file in a zip": packed({"optimizer.pt": torch_zip(EVIL)}),
    "a tar": tarred({"a": EVIL}, "w"),
    "a packed tar": tarred({"a": EVIL}),
    "a tar of the newest kind": tarred({"a": EVIL}, "w:xz"),
    "a packed file": gzip.compress(EVIL),
    "a packed file, twice": bz2.compress(lzma.compress(EVIL)),
    "under another entry of a torch file": packed({"archive/data.pkl": BENIGN, "archive/other.txt": EVIL}, zipfile.ZIP_STORED),
    "among a torch file's numbers": packed({"archive/data.pkl": BENIGN, "archive/data/0": packed({"x": EVIL})}, zipfile.ZIP_STORED),
    "an array of objects": OBJECTS + EVIL,
    "an array of objects in an npz": packed({"a.npy": OBJECTS + EVIL}),
    "after a picture": PNG + EVIL,
    "inside a picture": b"\xff\xd8\xff\xe0" + bytes(100) + EVIL + bytes(100),
    "inside an unknown format": b"\x01\x02\xff\xfe" * 50 + EVIL + b"\xff" * 50,
    "inside an unknown format, unmarked": b"\x01\x02\xff\xfe" * 50 + b"cos\nsystem\n(S'id'\ntR." + b"\xff" * 50,
}


@pytest.mark.parametrize("name", NESTED)
@pytest.mark.parametrize("file", ["extra.zip", "logo.png", "notes"])
def test_code_is_found_inside_other_files_under_any_name(name: str, file: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / file).write_bytes(NESTED[name])
    (found,) = [f for f in raised(CodeProbe(), folder) if f.rule == "pickle-code"]
    assert (found.severity, found.location.file) == ("critical", file)
    assert found.message.isprintable()


def test_what_follows_the_end_of_a_file_is_told(tmp_path: Path) -> None:
    weights = (adapter(tmp_path / "w") / "adapter_model.safetensors").read_bytes()
    cases = {"pickle": EVIL, "zip": packed({"a": b"x"}), "torch": torch_zip(BENIGN), "program": b"\x7fELF\x02\x01", "script": b"#!/bin/sh\n"}
    for name, tail in cases.items():
        for kind, start in (("weights", weights), ("picture", PNG)):
            folder = adapter(tmp_path / f"{name} {kind}")
            (folder / "extra").write_bytes(start + tail)
            assert "polyglot" in ids(raised(CodeProbe(), folder)), (name, kind)
    folder = adapter(tmp_path / "a zip at the end of words")
    (folder / "extra").write_bytes(b"words " + packed({"a": b"x"}))
    assert "polyglot" in ids(raised(CodeProbe(), folder))


def test_main_weights_with_a_payload_after_them_are_blocked(tmp_path: Path) -> None:
    for number, tail in enumerate((EVIL, packed({"a": EVIL}), torch_zip(EVIL))):
        folder = adapter(tmp_path / str(number))
        with (folder / "adapter_model.safetensors").open("ab") as stream:
            stream.write(tail)
        result = scan(folder)
        assert result.verdict.outcome is Outcome.BLOCK
        assert {"pickle-code", "polyglot"} <= {f.rule for f in result.findings}


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "x\x1b[2J"])
def test_an_entry_that_would_leave_its_folder_is_told(name: str, tmp_path: Path) -> None:
    for number, data in enumerate((packed({name: b"x"}), tarred({name: b"x"}), packed({"in": packed({name: b"x"})}))):
        folder = adapter(tmp_path / str(number))
        (folder / "extra").write_bytes(data)
        assert "archive-entry" in ids(raised(CodeProbe(), folder))


def test_an_upload_that_would_leave_its_folder_is_blocked(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    with zipfile.ZipFile(tmp_path / "u.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
        archive.writestr("../../evil", b"x")
    result = scan(tmp_path / "u.zip")
    assert result.verdict.outcome is Outcome.BLOCK
    assert [f.rule for f in result.findings if f.severity == "high"] == ["archive-entry"]


def test_what_cannot_be_looked_into_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "MOST_ENTRIES", 200)
    monkeypatch.setattr(contents, "MOST_BYTES", 1 << 20)
    sealed = bytearray(packed({"a": b"x"}))
    sealed[sealed.index(b"PK\x03\x04") + 6] |= 1
    sealed[sealed.index(b"PK\x01\x02") + 8] |= 1
    deep = b"x"
    for _ in range(6):
        deep = packed({"a": deep})
    cases = {
        "sealed": bytes(sealed),
        "deep": deep,
        "many": packed({str(i): b"" for i in range(201)}, zipfile.ZIP_STORED),
        "large": packed({str(i): bytes(600_000) for i in range(2)}),
    }
    for name, data in cases.items():
        folder = adapter(tmp_path / name)
        (folder / "extra").write_bytes(data)
        started = time.process_time()
        assert ids(raised(CodeProbe(), folder)) == {"archive-unread"}, name
        assert time.process_time() - started < 20


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("model.h5", b"\x89HDF\r\n\x1a\n" + bytes(50) + b'{"class_name": "Lambda", "config": {}}'),
        ("model.keras", packed({"config.json": b'{"layers": [{"class_name": "Lambda"}]}'})),
        ("saved_model.pb", b"\x0a\x05\x0a\x01x\x12\x06PyFunc\x1a\x01y" + b"\xff"),
        ("model.pt", packed({"m/data.pkl": BENIGN, "m/code/__torch__.py": b"x = 1", "m/constants.pkl": BENIGN}, zipfile.ZIP_STORED)),
    ],
)
def test_models_that_carry_code_are_told(name: str, data: bytes, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / name).write_bytes(data)
    assert "model-code" in ids(raised(CodeProbe(), folder))


def test_a_configuration_that_names_code_is_told(tmp_path: Path) -> None:
    for number, written in enumerate(
        ('{"auto_map": {"AutoModel": "modeling.Model"}}', '{"a": [{"trust_remote_code": true}]}', '{"custom_pipelines": {"x": 1}}')
    ):
        folder = adapter(tmp_path / str(number))
        (folder / "config.json").write_text(written)
        assert ids(raised(CodeProbe(), folder)) == {"remote-code"}
    (folder / "config.json").write_text('{"trust_remote_code": false, "auto_map": null}')
    assert raised(CodeProbe(), folder) == []


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_that_run_load_or_reach_out_are_dangerous(function: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "optimizer.pt").write_bytes(stack_global(*function.rsplit(".", 1)))
    assert ids(raised(CodeProbe(), folder)) == {"pickle-code"}


@pytest.mark.parametrize("data", [SCHEDULER + b"}b", SCHEDULER + text("a") + b"K\x01s", reduced(reduced(SCHEDULER, text("linear")), text("x"))])
def test_what_no_pickler_writes_is_for_review(data: bytes, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "training_args.bin").write_bytes(b"\x80\x02" + data + b".")
    assert ids(raised(CodeProbe(), folder)) == {"pickle-unknown"}


HONEST: dict[str, bytes] = {
    "README.md": b"Do not unpickle: cos\nsystem\n(S'id'\ntR. is a pickle that runs a command.",
    "PICKLES.txt": b"code\nsystem\nand more",
    "logo.png": PNG,
    "photo.jpg": b"\xff\xd8\xff\xe0" + np.random.default_rng(0).bytes(200_000) + b"\xff\xd9trailer",
    "events.out.tfevents.1": np.random.default_rng(1).bytes(100_000),
    "spiece.model": b"\x0a\x0e\x0a\x05<unk>\x15\0\0\0\0\x18\x02" * 2000,
    "vocab.txt": b"".join(b"%d\n" % i for i in range(50_000)),
    "rows.npy": b"\x93NUMPY\x01\0" + (62).to_bytes(2, "little") + b"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }".ljust(61) + b"\n" + bytes(4),
    "MZ.txt": b"MZ is how programs begin, and this is not one. " * 3,
    "config.json": b'{"model_type": "llama", "auto_map": null}',
    "data.csv": b"(name, value)\nimport, 1\nRR, 2\n.",
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_files_are_nothing(name: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / name).write_bytes(HONEST[name])
    assert raised(CodeProbe(), folder) == []


def test_weights_configuration_and_card_are_nothing(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "README.md").write_text("# Uses\n")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "within").symlink_to("README.md")
    assert raised(CodeProbe(), folder) == []
