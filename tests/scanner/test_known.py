from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scanner.errors import ScanError
from scanner.files.adapter import Adapter
from scanner.known import COPY, Entry, Index, open_known, take
from tests.adapters import adapter, tensors

KEY = b"k"


def random_index(adapters: int, modules: int, seed: int = 0) -> Index:
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 2**64, (adapters, modules), np.uint64)
    return Index.of(((Entry(f"a{i}", f"{i:064x}"), {f"m{j}": int(b) for j, b in enumerate(row)}) for i, row in enumerate(table)), KEY)


def prints(index: Index, at: int) -> dict[str, int]:
    return dict(list(index.items())[at][1])


def flipped(bits: int, count: int, seed: int = 0) -> int:
    for at in np.random.default_rng(seed).permutation(64)[:count].tolist():
        bits ^= 1 << at
    return bits


def test_a_copy_is_found_with_all_its_modules() -> None:
    index = random_index(500, 20)
    (match,) = index.search(prints(index, 123))
    assert (match.entry.name, match.common, match.copied, match.known, match.similarity) == ("a123", 20, 20, 20, 1.0)


def test_unrelated_fingerprints_match_nothing() -> None:
    index = random_index(2000, 30)
    for seed in range(20):
        assert index.search(prints(random_index(1, 30, seed=100 + seed), 0)) == []


def test_a_few_layers_of_a_known_adapter_are_found_among_others() -> None:
    index = random_index(500, 40)
    mine = prints(random_index(1, 40, seed=9), 0)
    mine |= {m: flipped(b, COPY, i) for i, (m, b) in enumerate(prints(index, 77).items()) if i < 4}
    (match,) = index.search(mine)
    assert (match.entry.name, match.copied, match.common) == ("a77", 4, 40)


def test_a_subset_of_the_modules_is_found() -> None:
    index = random_index(500, 40)
    (match,) = index.search({m: b for m, b in prints(index, 5).items() if m in ("m3", "m17", "m39")} | {"elsewhere": 5})
    assert (match.entry.name, match.common, match.copied, match.known) == ("a5", 3, 3, 40)


def test_a_likeness_without_a_single_copy_is_found() -> None:
    index = random_index(500, 40)
    (match,) = index.search({m: flipped(b, 12, i) for i, (m, b) in enumerate(prints(index, 5).items())})
    assert (match.entry.name, match.copied) == ("a5", 0)
    assert match.similarity == pytest.approx(np.cos(np.pi * 12 / 64), abs=1e-9)


def test_adapters_of_different_modules_share_an_index(tmp_path: Path) -> None:
    one, two = random_index(50, 4), random_index(50, 9, seed=2)
    both = Index.of([*one.items(), *((Entry(e.name.replace("a", "b"), e.sha256), p) for e, p in two.items())], KEY)
    both.save(tmp_path / "index")
    again = Index.open(tmp_path / "index")
    assert [e for e, _ in again.items()] == [e for e, _ in both.items()]
    assert again.search(prints(two, 8))[0].entry.name == "b8"
    assert again.search(prints(one, 8))[0].entry.name == "a8"
    assert again.key == KEY


def test_an_index_is_extended_and_entries_replaced_by_their_hash() -> None:
    index = random_index(20, 4)
    other = [(Entry(f"n{i}", f"{i:064x}", note="new"), p) for i, (_, p) in enumerate(random_index(3, 4, seed=5).items())]
    unlike = [(Entry("u", "ff", bad=True), {"elsewhere": 5})]
    after = index.extended([*other, *unlike])
    expected = {e.sha256: (e, p) for e, p in [*index.items(), *other, *unlike]}
    assert {e.sha256: (e, p) for e, p in after.items()} == expected
    assert len(after.entries) == len(list(after.items())) == 21
    assert after.search(other[1][1])[0].entry.name == "n1"
    assert after.search(dict(list(index.items())[10][1]))[0].entry.name == "a10"
    assert Index.new().extended(unlike).entries == [unlike[0][0]]


def test_an_empty_index_finds_nothing(tmp_path: Path) -> None:
    Index.new().save(tmp_path / "index")
    assert Index.open(tmp_path / "index").search({"m": 5}) == []
    assert Index.new().key != Index.new().key


def test_a_folder_of_adapters_is_an_index(tmp_path: Path) -> None:
    for seed in range(3):
        adapter(tmp_path / "known" / f"x{seed}", tensors(seed=seed))
    index = open_known(tmp_path / "known")
    again = Adapter.open(adapter(tmp_path / "mine", {k: v * (3 if "lora_B" in k else 1) for k, v in tensors(seed=1).items()}))
    entry, mine = take(again, index.key)
    (match,) = index.search(mine)
    assert (match.entry.name, match.copied) == ("x1", 2)
    assert entry.handwriting == match.entry.handwriting


def damaged(path: Path) -> dict[str, bytes]:
    data = path.read_bytes()
    return {
        "cut": data[:-9],
        "not one": b"hello",
        "empty": b"",
        "an adapter": (path.parent / "adapter" / "adapter_model.safetensors").read_bytes(),
        "key": data.replace(KEY.hex().encode(), b"zz"),
        "rows": data.replace(b'"U32","shape":[30]', b'"U32","shape":[29]'),
        "layouts": data.replace(b'"layouts":"1"', b'"layouts":"9"'),
    }


@pytest.mark.parametrize("what", ["cut", "not one", "empty", "an adapter", "key", "rows", "layouts"])
def test_a_broken_index_is_one_line(what: str, tmp_path: Path) -> None:
    adapter(tmp_path / "adapter")
    random_index(30, 3).save(tmp_path / "index")
    (tmp_path / "index").write_bytes(damaged(tmp_path / "index")[what])
    with pytest.raises(ScanError) as error:
        Index.open(tmp_path / "index")
    assert str(error.value).isprintable()


@pytest.mark.parametrize("path", ["missing", "."])
def test_nothing_to_compare_with_is_said(path: str, tmp_path: Path) -> None:
    with pytest.raises(ScanError):
        open_known(tmp_path / path)


def test_rows_beyond_the_entries_are_refused(tmp_path: Path) -> None:
    index: Any = random_index(3, 2)
    index.entries = index.entries[:1]
    index.save(tmp_path / "index")
    with pytest.raises(ScanError, match="broken"):
        Index.open(tmp_path / "index")
