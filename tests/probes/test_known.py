from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from probes.known import KnownProbe
from scanner.errors import ScanError
from scanner.files.adapter import Adapter
from scanner.finding import Finding
from scanner.measurement import Coverage, Status
from scanner.trust import Trust
from tests.adapters import adapter, subject


def look(folder: Path, **trust: Any) -> tuple[list[Finding], Coverage]:
    items = list(KnownProbe().run(subject(folder, trust=Trust(**trust))))
    (coverage,) = [i for i in items if isinstance(i, Coverage)]
    return [i for i in items if isinstance(i, Finding)], coverage


def listed(folder: Path, *hashes: str) -> tuple[Path, ...]:
    path = folder / "list.txt"
    path.write_text("".join(f"{h}  seen before\n" for h in hashes))
    return (path,)


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_without_a_list_nothing_is_measured(tmp_path: Path) -> None:
    found, coverage = look(adapter(tmp_path / "a"))
    assert found == []
    assert coverage.status is Status.NOT_MEASURED


def test_a_known_bad_file_or_folder_is_told_and_others_are_not(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (found,), _ = look(folder, known_bad=listed(tmp_path, "0" * 64, sha(folder / "adapter_model.safetensors")))
    assert (found.rule, found.severity, found.location.file) == ("known-bad", "critical", "adapter_model.safetensors")
    assert "seen before" in found.message
    (found,), _ = look(folder, known_bad=listed(tmp_path, Adapter.open(folder).sha256.upper()))
    assert found.rule == "known-bad"
    found_, coverage = look(folder, known_bad=listed(tmp_path, "0" * 64))
    assert (found_, coverage.status) == ([], Status.MEASURED)


def test_what_is_on_no_known_good_list_is_told(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    both = [sha(f) for f in folder.iterdir()]
    assert look(folder, known_good=listed(tmp_path, *both))[0] == []
    assert look(folder, known_good=listed(tmp_path, Adapter.open(folder).sha256))[0] == []
    (folder / "loader.py").write_text("x")
    (found,), _ = look(folder, known_good=listed(tmp_path, *both))
    assert (found.rule, found.severity, found.location.file) == ("known-good-missing", "medium", "loader.py")


def test_a_list_in_another_form_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("md5  x\n")
    with pytest.raises(ScanError, match=r"list\.txt: line 1 is not"):
        look(adapter(tmp_path / "a"), known_bad=(tmp_path / "list.txt",))
