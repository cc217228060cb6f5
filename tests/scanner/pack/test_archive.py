"""Archives: written the same each time, read without trust."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scanner.errors import ScanError
from scanner.pack import archive


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as made:
        for name, data in entries:
            made.writestr(name, data)
    return buffer.getvalue()


def info(name: str, mode: int) -> zipfile.ZipInfo:
    found = zipfile.ZipInfo(name)
    found.create_system = 3
    found.external_attr = mode << 16
    return found


def read(folder: Path, data: bytes) -> dict[str, bytes]:
    (folder / "p.zip").write_bytes(data)
    return archive.read(folder / "p.zip")


def test_files_come_back_and_the_bytes_depend_on_nothing_else(tmp_path: Path) -> None:
    files = {"b/c.txt": b"2" * 100_000, "a.json": b"{}", "empty": b""}
    data = archive.write(files)
    assert data == archive.write(dict(reversed(files.items())))
    assert read(tmp_path, data) == files
    assert len(data) > 100_000


def test_a_pack_that_was_zipped_again_is_read_as_well(tmp_path: Path) -> None:
    assert read(tmp_path, zipped(("a", b"x" * 1000), method=zipfile.ZIP_DEFLATED)) == {"a": b"x" * 1000}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "make",
    [
        lambda: b"",
        lambda: b"PK\x03\x04" + b"\0" * 100,
        lambda: archive.write({"a": b"x" * 100})[:-30],
        lambda: archive.write({"a": b"x" * 100}).replace(b"xxxx", b"xxxy"),
        lambda: zipped(("../a", b"")),
        lambda: zipped(("/a", b"")),
        lambda: zipped(("a/../b", b"")),
        lambda: zipped(("a//b", b"")),
        lambda: zipped(("./a", b"")),
        lambda: zipped(("c:a", b"")),
        lambda: zipped(("a b", b"")),
        lambda: zipped(("a\x1b[2J", b"")),
        lambda: zipped(("a\u202eb", b"")),
        lambda: zipped(("a\\b", b"")),
        lambda: zipped(("a/", b"")),
        lambda: zipped(("a", b"1"), ("a", b"2")),
        lambda: zipped((info("a", 0o120777), b"/etc/passwd")),
        lambda: zipped((info("a", 0o010644), b"")),
        lambda: zipped(*((f"f{i}", b"") for i in range(archive.MOST_FILES + 1))),
    ],
)
def test_what_no_pack_holds_is_refused_in_one_line(make: Callable[[], bytes], tmp_path: Path) -> None:
    with pytest.raises(ScanError) as error:
        read(tmp_path, make())
    assert str(error.value).isprintable()


def test_an_encrypted_entry_is_refused(tmp_path: Path) -> None:
    data = bytearray(zipped(("a", b"x")))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(ScanError, match="encrypted"):
        read(tmp_path, bytes(data))


def test_a_bomb_ends_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LARGEST", 4 * 1024 * 1024)
    for entries in ([("a", b"\0" * 5_000_000)], [(f"f{i}", b"\0" * 1_500_000) for i in range(3)]):
        bomb = zipped(*entries, method=zipfile.ZIP_DEFLATED)
        assert len(bomb) < 50_000
        tracemalloc.start()
        with pytest.raises(ScanError, match="over"):
            read(tmp_path, bomb)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
        tracemalloc.stop()


def test_a_bomb_that_lies_about_its_size_ends_too(tmp_path: Path) -> None:
    data = bytearray(zipped(("a", b"\0" * 5_000_000), method=zipfile.ZIP_DEFLATED))
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 10)
    with pytest.raises(ScanError):
        read(tmp_path, bytes(data))


def test_folders_pipes_and_missing_files_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "none"):
        with pytest.raises(ScanError):
            archive.read(path)


WHOLE = archive.write({"a.json": b"{}" * 20, "b/c": b"text"})


@given(st.dictionaries(st.integers(0, len(WHOLE) - 1), st.integers(0, 255), min_size=1, max_size=4))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_is_an_error_or_changes_nothing(tmp_path: Path, damage: dict[int, int]) -> None:
    whole = bytearray(WHOLE)
    for at, value in damage.items():
        whole[at] = value
    try:
        found = read(tmp_path, bytes(whole))
    except ScanError as error:
        assert str(error).isprintable()
    else:
        assert sum(map(len, found.values())) <= 1000
