from __future__ import annotations

import gc
import io
import lzma
import os
import stat
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.errors import UnreadableAdapter
from scanner.files import unpack
from scanner.files.adapter import Adapter
from scanner.files.unpack import Unpacked
from tests.adapters import adapter


@pytest.fixture(autouse=True)
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where uploads are unpacked in these tests; nothing may be left in it."""
    folder = tmp_path / "private"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    gc.collect()
    assert list(folder.iterdir()) == []


def zipped(folder: Path, inside: str = "") -> Path:
    upload = folder.parent / "upload.zip"
    with zipfile.ZipFile(upload, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, f"{inside}{path.relative_to(folder)}")
    return upload


def tarred(folder: Path, mode: str = "gz", inside: str = "a") -> Path:
    upload = folder.parent / f"upload.tar.{mode}"
    with tarfile.open(upload, f"w:{mode}") as archive:  # type: ignore[call-overload]
        archive.add(folder, inside)
    return upload


@pytest.mark.parametrize("inside", ["", "my-adapter/", "a/b/"])
def test_a_zip_is_the_adapter_in_it(inside: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    opened = Adapter.open(zipped(folder, inside))
    assert set(opened.weights.tensors) == set(Adapter.open(folder).weights.tensors)
    assert opened.name == "upload.zip"
    assert {f.path for f in opened.files} == {f"{inside}{n}" for n in ("adapter_config.json", "adapter_model.safetensors")}


@pytest.mark.parametrize("mode", ["", "gz", "bz2", "xz"])
def test_a_tar_is_the_adapter_in_it(mode: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    assert set(Adapter.open(tarred(folder, mode)).weights.tensors) == set(Adapter.open(folder).weights.tensors)


def test_the_folder_is_private_and_goes_with_the_adapter(tmp_path: Path, private: Path) -> None:
    opened = Adapter.open(zipped(adapter(tmp_path / "a")))
    (made,) = private.iterdir()
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert opened.root == made
    del opened
    gc.collect()
    assert list(private.iterdir()) == []


def test_the_folder_goes_when_the_adapter_cannot_be_read(tmp_path: Path, private: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "adapter_config.json").write_text("{")
    with pytest.raises(UnreadableAdapter):
        Adapter.open(zipped(folder))
    gc.collect()
    assert list(private.iterdir()) == []


def test_the_folder_goes_at_the_end_of_a_program_that_fails(tmp_path: Path, private: Path) -> None:
    upload = zipped(adapter(tmp_path / "a"))
    code = f"from scanner.files.adapter import Adapter; kept = Adapter.open({str(upload)!r}); raise SystemExit(3)"
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(private)}, check=False)
    assert done.returncode == 3
    assert list(private.iterdir()) == []


def crafted_zip(path: Path, *entries: tuple[str, bytes, int]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data, mode in entries:
            info = zipfile.ZipInfo(name)
            info.filename = name
            info.external_attr = mode << 16
            archive.writestr(info, data)
    return path


REGULAR, LINK, DEVICE = stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777, stat.S_IFCHR | 0o666


@pytest.mark.parametrize(
    ("name", "mode"),
    [("../evil", REGULAR), ("/etc/evil", REGULAR), ("a/../../evil", REGULAR), ("C:/evil", REGULAR), ("a\x1b[2J", REGULAR), ("link", LINK), ("device", DEVICE),
     ("x" * 300, REGULAR), ("/".join("d" * 40), REGULAR), ("ADAPTER_config.json", REGULAR), ("adapter_config.json", REGULAR)],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_entry_that_is_more_than_a_file_is_refused_and_told(name: str, mode: int, tmp_path: Path, private: Path) -> None:
    upload = crafted_zip(tmp_path / "u.zip", ("adapter_config.json", b"{}", REGULAR), (name, b"/etc/passwd", mode))
    unpacked = Unpacked(upload)
    (refused,) = unpacked.refused
    assert refused.isprintable()
    assert [p.name for p in unpacked.folder.rglob("*")] == ["adapter_config.json"]
    assert (unpacked.folder / "adapter_config.json").read_bytes() == b"{}"
    assert {p.name for p in tmp_path.iterdir()} == {"u.zip", "private"}


def test_what_a_tar_can_hold_besides_files_is_refused_and_told(tmp_path: Path) -> None:
    upload = tmp_path / "u.tar"
    with tarfile.open(upload, "w") as archive:
        for name, kind in (("l", tarfile.SYMTYPE), ("h", tarfile.LNKTYPE), ("c", tarfile.CHRTYPE), ("f", tarfile.FIFOTYPE), ("../x", tarfile.REGTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info, io.BytesIO())
        archive.addfile(tarfile.TarInfo("good"), io.BytesIO())
    unpacked = Unpacked(upload)
    assert len(unpacked.refused) == 5
    assert [p.name for p in unpacked.folder.rglob("*")] == ["good"]


def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "FREE", 1 << 20)
    with zipfile.ZipFile(tmp_path / "u.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("adapter_model.safetensors", bytes(64 << 20))
    with pytest.raises(UnreadableAdapter, match="bomb"):
        Unpacked(tmp_path / "u.zip")
    with tarfile.open(tmp_path / "u.tar.gz", "w:gz") as packed:
        info = tarfile.TarInfo("x")
        info.size = 64 << 20
        packed.addfile(info, io.BytesIO(bytes(64 << 20)))
    with pytest.raises(UnreadableAdapter, match="bomb"):
        Unpacked(tmp_path / "u.tar.gz")


def test_thousands_of_entries_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "u.zip", "w") as archive:
        for number in range(unpack.MOST_ENTRIES + 1):
            archive.writestr(str(number), b"")
    with pytest.raises(UnreadableAdapter, match="more than 5,000 entries"):
        Unpacked(tmp_path / "u.zip")


def test_an_encrypted_entry_is_refused(tmp_path: Path) -> None:
    data = bytearray(crafted_zip(tmp_path / "u.zip", ("a", b"x", REGULAR)).read_bytes())
    for magic, flag in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + flag] |= 1
    (tmp_path / "u.zip").write_bytes(bytes(data))
    with pytest.raises(UnreadableAdapter, match="encrypted"):
        Unpacked(tmp_path / "u.zip")


@pytest.mark.parametrize("name", ["u.zip", "u.tar.gz", "u.tar.xz", "u.tar"])
def test_a_damaged_upload_is_refused_in_one_line_or_unpacked(name: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    whole = (zipped(folder) if name == "u.zip" else tarred(folder, name.removeprefix("u.tar").removeprefix("."))).read_bytes()
    for cut in range(8, len(whole), max(1, len(whole) // 12)):
        for data in (whole[:cut], whole[:cut] + bytes([whole[cut] ^ 0xFF]) + whole[cut + 1 :]):
            (tmp_path / name).write_bytes(data)
            try:
                Unpacked(tmp_path / name)
            except UnreadableAdapter as error:
                assert str(error).isprintable()


def test_an_xz_that_asks_for_gigabytes_of_memory_is_refused(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30, "preset": 0}]
    (tmp_path / "u.tar.xz").write_bytes(lzma.compress(bytes(1024), filters=filters))
    with pytest.raises(UnreadableAdapter, match="cannot be unpacked"):
        Unpacked(tmp_path / "u.tar.xz")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=600), st.sampled_from([b"PK\x03\x04", b"\x1f\x8b\x08\x00", b"BZh9", b"\xfd7zXZ\x00", bytes(257) + b"ustar"]))
def test_random_bytes_are_refused_in_one_line_or_unpacked(data: bytes, magic: bytes) -> None:
    upload = Path(os.environ.get("TMPDIR", "/tmp")) / "unmask-test-upload"
    upload.write_bytes(magic + data)
    started = time.process_time()
    try:
        Unpacked(upload).close()
    except UnreadableAdapter as error:
        assert str(error).isprintable()
    finally:
        upload.unlink()
    assert time.process_time() - started < 5
