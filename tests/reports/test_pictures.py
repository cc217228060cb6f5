"""What the pictures draw, from tables good and bad."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from reports.html.pictures import draw, reference
from scanner.measurement import Cell
from scanner.result import Result
from tests.reports.sample import full, table


def with_table(id: str, columns: str, rows: list[tuple[Cell, ...]]) -> Result:
    others = tuple(t for t in full().tables if t.id != id)
    return msgspec.structs.replace(full(), tables=(*others, table(id, "t", columns, rows)))


def test_every_picture_of_the_sample_is_drawn_in_the_order_of_the_page() -> None:
    assert [p.heading for p in draw(full())] == [
        "What was refused, before and after", "Drift compass", "How far the first words move", "Trigger ladder", "Among honest adapters",
        "Where the adapter writes",
    ]  # fmt: skip


def test_the_adapter_stands_right_of_every_honest_one_where_it_is_further_out() -> None:
    picture = reference.draw(full())
    assert picture is not None
    histogram, bands = picture.drawings
    bars = [float(x) + float(w) for x, w in re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"[^>]*class="bar"', histogram)]
    assert len(bars) == 6
    (mark,) = re.findall(r'd="M([\d.]+)[^"]*" class="mark adapted"', histogram)
    assert float(mark) > max(bars)
    assert "40 honest adapters" in picture.caption
    assert "p = 0.024; no p-value here can be below 1/41" in picture.caption
    band = [(float(x), float(w)) for x, w in re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"[^>]*class="track band"', bands)]
    marks = [float(m) for m in re.findall(r'd="M([\d.]+)[^"]*" class="mark adapted"', bands)]
    inside = [x <= m <= x + w for (x, w), m in zip(band, marks, strict=True)]
    assert inside == [False, True, True]


@pytest.mark.parametrize(
    "rows", [[], [(0.0, 1.0, 3)], [("x", 2.0, 3)], [(2.0, 1.0, 3)], [(1.0, 2.0, -1)], [(1.0, 2.0, 0.5)], [(1.0, float("inf"), 1)], [(1.0 + i, 2.0 + i, 1) for i in range(200)]]
)  # fmt: skip
def test_classes_that_make_no_sense_are_left_to_the_table(rows: list[tuple[Cell, ...]]) -> None:
    assert reference.draw(with_table("reference.scores", "low high adapters", rows)) is None


@pytest.mark.parametrize("row", [("f", None, 0.0, 1.0, 2.0), ("f", 1.0, 2.0, 1.0, 2.0), ("f", "x", 0.0, 1.0, 2.0)])
def test_a_statistic_without_numbers_is_left_out_of_the_bands(row: tuple[Any, ...]) -> None:
    picture = reference.draw(with_table("reference.features", "feature value low high z", [row]))
    assert picture is not None
    assert len(picture.drawings) == 1
