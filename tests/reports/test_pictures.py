"""What the pictures draw, from tables good and bad."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from reports.html.pictures import compass, draw, reference
from scanner.measurement import Cell, Measurement
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


@pytest.mark.parametrize(("adapters", "drawn"), [(1, False), (18, False), (19, True)])
def test_too_few_honest_adapters_are_not_drawn(adapters: int, drawn: bool) -> None:
    picture = reference.draw(with_table("reference.scores", "low high adapters", [(1.0, 1.2, adapters)]))
    assert (picture is not None) is drawn


@pytest.mark.parametrize("row", [("f", None, 0.0, 1.0, 2.0), ("f", 1.0, 2.0, 1.0, 2.0), ("f", "x", 0.0, 1.0, 2.0)])
def test_a_statistic_without_numbers_is_left_out_of_the_bands(row: tuple[Any, ...]) -> None:
    picture = reference.draw(with_table("reference.features", "feature value low high z", [row]))
    assert picture is not None
    assert len(picture.drawings) == 1


def test_each_unit_has_an_axis_of_its_own_and_tokens_are_no_rate() -> None:
    depth = Measurement(id="depth.change", title="Depth", value=-1.5, low=-3.0, high=-0.25, unit="tokens", n=24)
    drift = Measurement(id="drift.toxicity", title="Toxicity", value=-0.5, low=-0.7, high=-0.4, unit="nats a token", n=40)
    rate = Measurement(id="refusal.harmful.change", title="Refusals", value=-0.1, low=-0.2, high=-0.05, n=132)
    picture = compass.draw(msgspec.structs.replace(full(), measurements=(depth, drift, rate)))
    assert picture is not None
    points, likelihoods, tokens = map(str, picture.drawings)
    assert "−10.0 points" in points or "−10 points" in points
    assert "nats a token" in likelihoods
    assert "−1.5 tokens" in tokens
    assert "3 of 3 intervals" in picture.caption
