"""What a deployment computed is kept: the base's for good, the adapted side's until its scan ends."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from scanner import cache
from scanner.model.deployment import Deployment
from scanner.model.side import Side
from scanner.model.work import ADAPTED, DAYS, Work
from scanner.profile import PROFILES
from scanner.result import dumps
from scanner.scan import scan
from tests import tiny


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))


def never() -> Any:
    raise AssertionError("computed again")


def unfinished() -> list[Path]:
    return list((cache.root() / ADAPTED).glob("*"))


@pytest.mark.parametrize("side", Side)
def test_what_is_kept_is_found_by_the_next_that_scans_the_same(side: Side) -> None:
    value = torch.arange(6.0).view(2, 3).T
    first = Work("b" * 64, "a" * 64, ["float32"])
    assert torch.equal(first.tensor(side, ["x"], lambda: value), value)
    assert first.ids(side, ["x"], lambda: [[1], []]) == [[1], []]
    again = Work("b" * 64, "a" * 64, ["float32"])
    assert torch.equal(again.tensor(side, ["x"], never), value)
    assert again.ids(side, ["x"], never) == [[1], []]
    assert again.held(side, ["y"]) is None


def test_another_adapter_base_or_condition_finds_nothing() -> None:
    Work("b" * 64, "a" * 64, ["float32"]).ids(Side.ADAPTED, ["x"], lambda: [[1]])
    for base, adapter, condition in (("c", "a", "float32"), ("b", "c", "float32"), ("b", "a", "bfloat16"), ("b", "", "float32")):
        assert Work(base * 64, adapter * 64, [condition]).ids(Side.ADAPTED, ["x"], lambda: [[2]]) == [[2]]


def test_the_adapted_side_goes_and_the_base_stays() -> None:
    work = Work("b" * 64, "a" * 64, [])
    for side in Side:
        work.ids(side, ["x"], lambda: [[1]])
    work.forget()
    assert work.ids(Side.ADAPTED, ["x"], lambda: [[2]]) == [[2]]
    assert work.ids(Side.BASE, ["x"], never) == [[1]]


def test_without_an_adapter_nothing_outlives_the_object() -> None:
    work = Work("b" * 64, "", [])
    work.ids(Side.ADAPTED, ["x"], lambda: [[1]])
    folder = work._folders[Side.ADAPTED]
    assert folder.is_dir()
    assert not unfinished()
    del work
    assert not folder.exists()


def test_a_broken_file_is_computed_again() -> None:
    work = Work("b" * 64, "a" * 64, [])
    work.ids(Side.ADAPTED, ["x"], lambda: [[1]])
    work.tensor(Side.ADAPTED, ["x"], lambda: torch.ones(2))
    for file in unfinished()[0].iterdir():
        file.write_bytes(file.read_bytes()[:-3])
    assert work.ids(Side.ADAPTED, ["x"], lambda: [[2]]) == [[2]]
    assert torch.equal(work.tensor(Side.ADAPTED, ["x"], lambda: torch.zeros(2)), torch.zeros(2))


def test_what_was_interrupted_long_ago_is_removed() -> None:
    Work("b" * 64, "a" * 64, []).ids(Side.ADAPTED, ["x"], lambda: [[1]])
    (old,) = unfinished()
    Work("b" * 64, "c" * 64, [])
    assert unfinished() == [old]
    os.utime(old, (0, time.time() - (DAYS + 1) * 86400))
    Work("b" * 64, "c" * 64, [])
    assert unfinished() == []


def test_an_interrupted_scan_goes_on_and_gives_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = msgspec.structs.replace(PROFILES["quick"], prompts_per_category=1, vocabulary=8, shortlist=2, leak_samples=8, looked=4, tried=2, verify_prompts=8)
    monkeypatch.setitem(PROFILES, "quick", small)
    tiny.base(tmp_path / "base")
    adapter = tiny.lora(tmp_path / "adapter", 1.0)
    asked: list[Any] = []
    generate = Deployment._generate

    def interrupted(self: Deployment, ids: Any, side: Side, *rest: Any) -> Any:
        if side is Side.ADAPTED:
            asked.append(ids)
            if len(asked) == 4:
                raise KeyboardInterrupt
        return generate(self, ids, side, *rest)

    def run() -> bytes:
        return dumps(msgspec.structs.replace(scan(adapter, tmp_path / "base", profile="quick", device="cpu"), timings={}))

    whole = run()
    assert not unfinished()
    monkeypatch.setattr(Deployment, "_generate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert len(unfinished()) == 1
    before = len(asked)
    assert run() == whole
    assert all(again not in asked[: before - 1] for again in asked[before:])
    assert not unfinished()
