from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from scanner.cli import main
from scanner.files.adapter import Adapter
from scanner.model.base import Base
from scanner.population import Population, shipped
from scanner.result import Result
from scanner.scan import scan
from scanner.verdict import Outcome
from tests.adapters import adapter, base, tensors


def honest(folder: Path, seed: int, factor: float = 0.01, **config: Any) -> Path:
    return adapter(folder, {k: v * factor for k, v in tensors(layers=4, rank=2, width=16, seed=seed).items()}, **config)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, 120 honest adapters of it, and their population."""
    folder = tmp_path_factory.mktemp("reference")
    base(folder / "base", layers=4, width=16)
    for seed in range(120):
        honest(folder / "honest" / f"a{seed:03}", seed)
    result = CliRunner().invoke(main, ["calibrate", str(folder / "honest"), "--base", str(folder / "base"), "--output", str(folder / "p.json")])
    assert result.exit_code == 0, result.output
    assert "120 adapters, LoRA of rank 2 on q_proj x 4: p down to 0.0083" in result.stdout
    return folder


def looked(result: Result) -> tuple[str, str, list[str]]:
    (coverage,) = [c for c in result.coverage if c.probe == "reference"]
    return coverage.status, coverage.why, [f.rule for f in result.findings if f.rule == "reference-outlier"]


def test_one_of_them_is_not_told(place: Path, tmp_path: Path) -> None:
    result = scan(honest(tmp_path / "a", 500), reference=place / "p.json")
    assert looked(result) == ("measured", "", [])
    measured = result.measurement("reference.p")
    assert measured is not None
    assert measured.n == 120
    assert float(measured.value) > 0.02


def test_one_far_out_is_told_with_what_is_strange_and_only_noted(place: Path, tmp_path: Path) -> None:
    result = scan(honest(tmp_path / "a", 500, factor=0.1), reference=place / "p.json")
    (found,) = [f for f in result.findings if f.rule == "reference-outlier"]
    assert found.severity == "low"
    assert found.message.startswith("p = 0.00826 among 120 adapters; furthest in model.layers.*.self_attn.q_proj: log norm")
    assert result.verdict.outcome is Outcome.PASS
    table = result.table("reference.features")
    assert table is not None
    assert table.rows[0][0] == found.message.split("furthest in ")[1]


def test_the_honest_ones_are_told_by_how_far_out_they_lie(place: Path, tmp_path: Path) -> None:
    near, far = (scan(honest(tmp_path / f"{f}", 500, factor=f), reference=place / "p.json") for f in (0.01, 0.1))
    for result in (near, far):
        table, score, p = result.table("reference.scores"), result.measurement("reference.score"), result.measurement("reference.p")
        assert table is not None
        assert score is not None
        assert p is not None
        assert sum(int(str(row[2])) for row in table.rows) == 120
        assert all(float(str(low)) < float(str(high)) for low, high, _ in table.rows)
        further = sum(int(str(n)) for low, _, n in table.rows if float(str(low)) > float(score.value))
        assert further / 121 <= float(p.value)
        furthest = abs(float(str((result.table("reference.features") or table).rows[0][4])))
        assert abs(furthest - float(score.value)) < 1e-4 * furthest
    assert (far.measurement("reference.score") or score).value > 10 * float((near.measurement("reference.score") or score).value)


def test_a_member_is_compared_with_the_others(place: Path) -> None:
    measured = scan(place / "honest" / "a007", reference=place / "p.json").measurement("reference.p")
    assert measured is not None
    assert measured.n == 119


def test_another_recipe_has_no_reference(place: Path, tmp_path: Path) -> None:
    other = adapter(tmp_path / "a", {k: v * 0.01 for k, v in tensors(layers=4, rank=4, width=16).items()}, r=4)
    status, why, found = looked(scan(other, reference=place / "p.json"))
    assert (status, found) == ("not measured", [])
    assert why.startswith("no reference fits LoRA of rank 4 on q_proj x 4; the population of this base holds LoRA of rank 2 on q_proj x 4")


def test_another_base_has_no_reference(place: Path, tmp_path: Path) -> None:
    status, why, _ = looked(scan(honest(tmp_path / "a", 1, base_model_name_or_path="org/other"), reference=place / "p.json"))
    assert (status, "org/other" in why) == ("not measured", True)


def test_without_a_population_it_says_so(tmp_path: Path) -> None:
    status, why, _ = looked(scan(honest(tmp_path / "a", 1)))
    assert (status, "unmask calibrate" in why) == ("not measured", True)


def test_calibration_says_what_it_left_out_and_counts_copies_once(place: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("same", 1), ("two", 2)):
        honest(tmp_path / "all" / name, seed)
    (adapter(tmp_path / "all" / "broken") / "adapter_model.safetensors").write_bytes(b"x")
    honest(tmp_path / "all" / "nan", 3, factor=float("nan"))
    adapter(tmp_path / "all" / "elsewhere", tensors(layers=9, width=16))
    result = CliRunner().invoke(main, ["calibrate", str(tmp_path / "all"), "--base", str(place / "base"), "--output", str(tmp_path / "p.json")])
    assert result.exit_code == 0
    assert result.stderr.count("left out") == 3
    assert "2 adapters, LoRA of rank 2 on q_proj x 4: p down to 0.3333, too few for p <= 0.05" in result.stdout


def test_nothing_to_calibrate_on_is_exit_code_two(place: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    for folder in ("none", "missing"):
        result = CliRunner().invoke(main, ["calibrate", str(tmp_path / folder), "--base", str(place / "base"), "--output", str(tmp_path / "p.json")])
        assert (result.exit_code, (tmp_path / "p.json").exists()) == (2, False)


def test_the_population_is_the_same_every_time(place: Path, tmp_path: Path) -> None:
    CliRunner().invoke(main, ["calibrate", str(place / "honest"), "--base", str(place / "base"), "--output", str(tmp_path / "p.json")])
    assert (tmp_path / "p.json").read_bytes() == (place / "p.json").read_bytes()


def test_the_shipped_population_is_the_one_of_the_base(place: Path, tmp_path: Path) -> None:
    (tmp_path / "shipped").mkdir()
    (tmp_path / "shipped" / "p.json").write_bytes((place / "p.json").read_bytes())
    base(tmp_path / "other", layers=5, width=16)
    mine, stranger = (Adapter.open(honest(tmp_path / n, 1, base_model_name_or_path=n)) for n in ("org/tiny", "org/other"))
    expected = Population.open(place / "p.json")
    assert shipped(mine, None, tmp_path / "shipped") == shipped(stranger, Base.open(place / "base"), tmp_path / "shipped") == expected
    assert shipped(stranger, None, tmp_path / "shipped") is None
    assert shipped(mine, Base.open(tmp_path / "other"), tmp_path / "shipped") is None
