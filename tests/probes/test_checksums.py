from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from probes.checksums import ChecksumsProbe
from tests.adapters import adapter, raised


def lines(folder: Path) -> str:
    return "".join(f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}\n" for f in sorted(folder.iterdir()))


@pytest.mark.parametrize("name", ["SHA256SUMS", "sha256sum.txt", "weights.sha256"])
def test_a_list_that_holds_is_nothing(name: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / name).write_text("# made by hand\n" + lines(folder))
    (folder / ".gitattributes").write_text("x")
    assert raised(ChecksumsProbe(), folder) == []


def test_other_ways_to_write_a_line(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    one, two = lines(folder).splitlines()
    sha, _, name = two.partition("  ")
    (folder / "SHA256SUMS").write_text(
        f"{one.replace('  ', ' *./').upper().replace('ADAPTER_CONFIG.JSON', 'adapter_config.json')}\r\nSHA256 ({name}) = {sha}\n"
    )
    assert raised(ChecksumsProbe(), folder) == []


def test_a_changed_file_is_told(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "SHA256SUMS").write_text(lines(folder))
    with (folder / "adapter_config.json").open("a") as stream:
        stream.write(" ")
    (found,) = raised(ChecksumsProbe(), folder)
    assert (found.rule, found.severity, found.location.file) == ("checksum-mismatch", "high", "adapter_config.json")


def test_files_that_are_missing_not_listed_or_outside_are_told_apart(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "SHA256SUMS").write_text(lines(folder) + f"{'0' * 64}  gone.txt\n{'0' * 64}  ../../etc/passwd\n")
    (folder / "new.txt").write_text("x")
    found = raised(ChecksumsProbe(), folder)
    assert {(f.rule, f.severity, f.details) for f in found} == {
        ("checksum-outside", "medium", ("../../etc/passwd",)),
        ("checksum-missing", "medium", ("gone.txt",)),
        ("checksum-incomplete", "low", ("new.txt",)),
    }


@pytest.mark.parametrize("text", ["not a list", "\x1b[2J" * 3000, "a" * 5_000_000], ids=["prose", "controls", "huge"])
def test_a_list_that_cannot_be_read_is_told_softly(text: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "SHA256SUMS").write_text(text)
    (found,) = raised(ChecksumsProbe(), folder)
    assert found.rule == "checksum-incomplete"
    assert found.message.isprintable()
