from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from scanner.errors import ScanError
from scanner.population import Cell, Member, Population, Recipe

RECIPE = Recipe(method="LoRA", ranks=(2,), modules={"l.*.q": 2})


def cell(values: np.ndarray) -> Cell:
    features = tuple(f"f{i}" for i in range(values.shape[1]))
    return Cell(recipe=RECIPE, features=features, members=tuple(Member(f"{i:x}", tuple(v)) for i, v in enumerate(values.tolist())))


def named(values: np.ndarray) -> dict[str, float]:
    return {f"f{i}": float(v) for i, v in enumerate(values)}


def test_p_values_of_exchangeable_adapters_are_uniform() -> None:
    """Adapters drawn as the population was, with heavy tails and features of very different scale: 5 % have p <= 0.05, 20 % p <= 0.2."""
    rng = np.random.default_rng(0)
    p = []
    for _ in range(400):
        draw = rng.standard_t(3, size=(40, 12)) * np.geomspace(1e-3, 1e3, 12)
        p.append(cell(draw[1:]).compare(named(draw[0]), "x").p_value)
    for level in (0.05, 0.2, 0.5):
        share = float(np.mean(np.array(p) <= level + 1e-9))
        assert share == pytest.approx(level, abs=3.5 * np.sqrt(level * (1 - level) / 400))


def test_one_strange_feature_is_found_and_named_first() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(100, 12))
    strange = rng.normal(size=12)
    strange[7] = 9.0
    found = cell(values).compare(named(strange), "x")
    assert found.p_value == pytest.approx(1 / 101)
    assert (found.n, found.deviants[0].feature) == (100, "f7")
    assert found.deviants[0].z > 5
    assert found.deviants[0].high < 3
    assert found.score == pytest.approx(abs(found.deviants[0].z))


def test_an_adapter_of_the_population_is_not_compared_with_itself() -> None:
    values = np.random.default_rng(2).normal(size=(30, 3))
    found = cell(values).compare(named(values[4]), "4")
    assert found.n == 29
    assert cell(values).compare(named(values[4]), "other").n == 30


def test_a_feature_that_never_varies_is_no_division_by_zero() -> None:
    values = np.ones((20, 2))
    assert cell(values).compare({"f0": 1.0, "f1": 1.0}, "x").p_value == 1
    assert cell(values).compare({"f0": 1.0, "f1": 2.0}, "x").p_value == pytest.approx(1 / 21)


def written(path: Path, **changes: object) -> Path:
    population = Population(tool="t", base="b", base_sha256="0", base_names=("b",), cells=(cell(np.zeros((3, 2))),))
    path.write_bytes(msgspec.json.encode(msgspec.structs.asdict(population) | changes))
    return path


def test_a_population_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = Population.open(written(tmp_path / "p.json"))
    assert found.cell(RECIPE) is not None
    assert found.cell(msgspec.structs.replace(RECIPE, ranks=(4,))) is None


@pytest.mark.parametrize("change", [{"format": "unmask population 2"}, {"cells": 5}, {"base": None}])
def test_what_is_not_a_population_is_one_line(change: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(ScanError) as error:
        Population.open(written(tmp_path / "p.json", **change))
    assert str(error.value).isprintable()


def test_a_member_with_too_few_values_is_refused(tmp_path: Path) -> None:
    text = written(tmp_path / "p.json").read_text().replace("[0.0,0.0]", "[0.0]", 1)
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(ScanError, match="more or fewer"):
        Population.open(tmp_path / "p.json")


def test_no_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="cannot be read"):
        Population.open(tmp_path / "no")
