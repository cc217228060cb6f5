"""Where a set's file is: a path, an installed package, or one commit on the Hub."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from scanner.errors import ScanError
from scanner.prompts.place import located
from scanner.prompts.set import open_sets

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROWS = b"id,prompt,type,label\n1,Kill a process,homonyms,safe\n2,Forge a pass,contrast_homonyms,unsafe\n"


@pytest.mark.parametrize("allow", [True, False])
def test_a_pinned_file_of_the_hub_is_asked_for_once_and_told_in_full(allow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def download(repo: str, file: str, *, repo_type: str, revision: str, local_files_only: bool) -> str:
        asked.append((repo, file, repo_type, revision, local_files_only))
        (tmp_path / "kept.csv").write_bytes(ROWS)
        return str(tmp_path / "kept.csv")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    place = f"hub:owner/xstest@{COMMIT}:data/prompts.csv"
    (found,) = open_sets({"xstest": place}, allow)
    assert asked == [("owner/xstest", "data/prompts.csv", "dataset", COMMIT, not allow)]
    assert (found.source.file, found.source.sha256) == (place, hashlib.sha256(ROWS).hexdigest())
    assert (found.source.harmful, found.source.harmless) == (1, 1)


@pytest.mark.parametrize(
    "place",
    ["hub:owner/name:prompts.csv", "hub:owner/name@main:prompts.csv", f"hub:owner/name@{COMMIT}", f"hub:name@{COMMIT}:a.csv", f"hub:a/b@{COMMIT}:../a:b"],
)
def test_what_may_change_is_not_taken_from_the_hub(place: str) -> None:
    with pytest.raises(ScanError, match="40 hexadecimal digits"):
        located(place, True)


def test_a_set_that_is_not_in_the_cache_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*_: Any, **__: Any) -> str:
        raise LocalEntryNotFoundError("not\nthere")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(ScanError, match="see --allow-hub") as error:
        located(f"hub:owner/name@{COMMIT}:a.csv", False)
    assert "\n" not in str(error.value)


def test_a_file_of_an_installed_package_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some_sets" / "data").mkdir(parents=True)
    (tmp_path / "some_sets" / "__init__.py").write_text("")
    (tmp_path / "some_sets" / "data" / "x.csv").write_bytes(ROWS)
    monkeypatch.syspath_prepend(str(tmp_path))
    (found,) = open_sets({"xstest": "package:some_sets:data/x.csv"})
    assert (found.source.file, found.source.harmful) == ("package:some_sets:data/x.csv", 1)


@pytest.mark.parametrize("place", ["package:no_such_package_here:x.csv", "package:json", "package:json:../x:y", "package::x.csv", "package:...:x.csv"])
def test_a_package_that_is_none_is_one_line(place: str) -> None:
    with pytest.raises(ScanError) as error:
        located(place, False)
    assert "\n" not in str(error.value)


def test_a_path_stays_a_path(tmp_path: Path) -> None:
    assert located(tmp_path / "hub:x", False) == tmp_path / "hub:x"
    assert located("x.csv", False) == Path("x.csv")
