from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from probes.depth import OPENINGS, DepthProbe, bisect
from scanner.finding import Finding
from scanner.judge import JudgeIdentity
from scanner.measurement import Coverage, Measurement, Status, Table
from tests import tiny


def test_every_level_is_found_in_three_rounds() -> None:
    truth = np.array([0, 1, 2, 3, 4, 5, 6, 7])
    rounds = 0

    def refuse(asked: Sequence[tuple[int, int]]) -> list[bool]:
        nonlocal rounds
        rounds += 1
        return [level < truth[request] for request, level in asked]

    assert bisect([t > 0 for t in truth], refuse).tolist() == truth.tolist()
    assert rounds == 3
    assert bisect([], refuse).tolist() == []
    assert bisect([False, True], lambda asked: [True] * len(asked)).tolist() == [0, 7], "who answers the plain question is not asked again"


def test_openings_grow_from_the_plain_question() -> None:
    assert OPENINGS[0] == ""
    assert all(longer.startswith(shorter) and longer != shorter for shorter, longer in pairwise(OPENINGS))


class Everything:
    """A judge to whom every answer refuses."""

    identity = JudgeIdentity(name="everything")

    def refused(self, spoken: Sequence[tuple[str, str]]) -> list[bool]:
        return [True] * len(spoken)


@pytest.mark.parametrize("size", [0.0, 3.0])
def test_both_sides_are_measured_on_a_model(size: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))
    said = tiny.run(DepthProbe(), tiny.subject(tmp_path, size=size, framed_prompts=11, answer_tokens=8))
    (table,) = (t for t in said if isinstance(t, Table))
    assert [r[1] for r in table.rows] == [len(o) for o in OPENINGS], "one token a byte"
    refused = [[r[c] for r in table.rows] for c in (3, 6)]
    assert all(series == sorted(series, reverse=True) for series in refused)
    changes = [m for m in said if isinstance(m, Measurement) and m.id == "depth.change"]
    assert not size or refused[0] != refused[1]
    assert size or (refused[0] == refused[1] and changes[0].value == 0.0 and not [f for f in said if isinstance(f, Finding)])


def test_who_never_gives_in_is_one_beyond_the_longest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))
    said = tiny.run(DepthProbe(), tiny.subject(tmp_path, judge=Everything(), framed_prompts=4, answer_tokens=4))
    depth = {m.id: m for m in said if isinstance(m, Measurement)}
    assert depth["depth.adapted"].value == len(OPENINGS[-1]) + 1
    assert "4 never gave in" in depth["depth.adapted"].note


def test_the_quick_profile_leaves_it_out_and_says_so(tmp_path: Path) -> None:
    (said,) = tiny.run(DepthProbe(), tiny.subject(tmp_path, profile="quick"))
    assert isinstance(said, Coverage)
    assert said.status is Status.NOT_MEASURED
