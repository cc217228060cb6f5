"""Every case of benchmarks/evasions gets the treatment it should, without a traceback, a hang, or memory without bound."""

from __future__ import annotations

import collections
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.evasions.case import FAMILIES, Case, cases, met
from benchmarks.evasions.isolated import SECONDS, Examiner, Seen
from tests.evasions.known_gaps import known_gaps, look

CASES = cases()
GAPS = known_gaps()
MEMORY = 400 << 20


@pytest.fixture(scope="module")
def seen() -> dict[str, Seen]:
    """What every case came to, filled as the tests go."""
    return {}


@pytest.fixture(scope="module")
def examiner() -> Iterator[Examiner]:
    with Examiner() as started:
        yield started


@pytest.mark.parametrize("case", [pytest.param(c, id=c.id, marks=pytest.mark.model if c.family == "peft" else ()) for c in CASES])
def test_a_case_is_treated_as_it_should(case: Case, examiner: Examiner, seen: dict[str, Seen]) -> None:
    examiner.seconds = 3.0 if case.id in GAPS else SECONDS
    seen[case.id] = found = look(case, examiner)
    if case.id in GAPS:
        return
    assert found.outcome not in ("crashed", "hung", "killed"), found.message
    assert found.message.isprintable()
    assert met(case.expect, found.outcome, len(found.rules)), f"{case.what}: should {case.expect}, came to {found.outcome} {found.rules}: {found.message}"
    assert found.peak < MEMORY, f"{found.peak >> 20} MB"


def test_a_known_gap_that_is_closed_is_taken_off_the_list(seen: dict[str, Seen]) -> None:
    by_id = {case.id: case for case in CASES}
    assert set(GAPS) <= set(by_id)
    closed = [i for i in GAPS if i in seen and met(by_id[i].expect, seen[i].outcome, len(seen[i].rules))]
    assert not closed, f"closed: {', '.join(closed)}; run `python -m tests.evasions.known_gaps` and commit the shorter list"


def test_the_corpus_is_large_and_each_case_is_made_the_same_twice(tmp_path: Path) -> None:
    assert len({c.id for c in CASES}) == len(CASES)
    assert {c.family for c in CASES} == set(FAMILIES)
    kinds = collections.Counter(c.honest for c in CASES)
    assert kinds[False] >= 80
    assert kinds[True] >= 12
    for case in [c for c in CASES if c.family != "peft"][::40]:
        made = []
        for turn in "ab":
            path = case.build(tmp_path / turn / case.id)
            below = sorted(p for p in path.rglob("*") if p.is_file() and not p.is_symlink()) if path.is_dir() else [path]
            made.append([p.read_bytes() for p in below if p.is_file()])
        assert made[0] == made[1], case.id


def hang(path: Path) -> Seen:
    time.sleep(60)
    raise AssertionError


def grow(path: Path) -> Seen:
    return Seen("pass", str(len(bytearray(512 << 20))))  # so much that what the kernel takes back meanwhile cannot hide it


def die(path: Path) -> Seen:
    os._exit(3)


def test_hangs_bombs_and_deaths_are_told_apart_and_the_next_case_is_examined_all_the_same(tmp_path: Path) -> None:
    with Examiner(seconds=0.3, look=hang) as examiner:
        assert [examiner.examine(tmp_path).outcome for _ in range(2)] == ["hung", "hung"]
    with Examiner(look=grow) as examiner:
        assert [examiner.examine(tmp_path).peak > 32 << 20 for _ in range(2)] == [True, True]
    with Examiner(look=die) as examiner:
        assert [examiner.examine(tmp_path).outcome for _ in range(2)] == ["killed", "killed"]
