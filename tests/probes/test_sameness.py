from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from probes.sameness import SamenessProbe
from scanner.cli import main
from scanner.demo.base import shipped
from scanner.finding import Finding
from scanner.scan import scan
from tests.adapters import MODULE, adapter, tensors

Weights = dict[str, Any]


def weights(seed: int = 0) -> Weights:
    """Ten layers of rank 4 with a falling spectrum."""
    return {k: v * 0.1 * (np.exp(-np.arange(4) / 2) if "lora_B" in k else 1) for k, v in tensors(layers=10, rank=4, width=64, seed=seed).items()}


def changed(made: Weights, how: str) -> Weights:
    rng = np.random.default_rng(1)
    out = dict(made)
    for layer in range(10):
        a, b = (f"{MODULE.format(layer)}.lora_{x}.weight" for x in "AB")
        if how == "rescaled":
            out[b] = made[b] * 7
        elif how == "rotated":
            turn = rng.normal(size=(4, 4))
            out[a], out[b] = (np.linalg.solve(turn, made[a]).astype(np.float32), (made[b] @ turn).astype(np.float32))
        elif how == "re-ranked":
            left, values, right = np.linalg.svd(made[b] @ made[a])
            out[a], out[b] = (values[:3, None] * right[:3]).astype(np.float32), left[:, :3].astype(np.float32)
    return out


def found(folder: Path, known: Path) -> list[Finding]:
    return [f for f in scan(folder, known=known).findings if f.rule in {r.id for r in SamenessProbe.rules}]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Two known adapters, the second marked as bad."""
    adapter(tmp_path / "known" / "first", weights(0), r=4)
    adapter(tmp_path / "bad" / "second", weights(1), r=4)
    path = tmp_path / "index"
    for arguments in ([str(tmp_path / "known")], [str(tmp_path / "bad"), "--bad", "--note", "steals"]):
        result = CliRunner().invoke(main, ["index", *arguments, "--output", str(path)])
        assert result.exit_code == 0, result.output
    return path


@pytest.mark.parametrize(
    ("how", "seed", "rule", "severity"),
    [
        ("same", 0, "near-duplicate", "info"),
        ("rescaled", 0, "near-duplicate", "info"),
        ("rotated", 0, "laundered", "medium"),
        ("re-ranked", 0, "laundered", "medium"),
        ("same", 1, "near-duplicate", "high"),
        ("rescaled", 1, "near-duplicate", "high"),
        ("rotated", 1, "laundered", "high"),
        ("re-ranked", 1, "laundered", "high"),
        ("same", 2, None, None),
    ],
)
def test_a_copy_is_told_by_what_it_is_a_copy_of(how: str, seed: int, rule: str | None, severity: str | None, index: Path, tmp_path: Path) -> None:
    rank = 3 if how == "re-ranked" else 4
    told = found(adapter(tmp_path / "mine", changed(weights(seed), how), r=rank), index)
    assert [(f.rule, f.severity) for f in told] == ([(rule, severity)] if rule else [])
    if told:
        assert ("second (steals), which is marked as bad" if seed else "first") in told[0].message


def test_a_few_layers_of_a_bad_adapter_are_told(index: Path, tmp_path: Path) -> None:
    mine = weights(5) | {k: v for k, v in weights(1).items() if ".layers.3." in k or ".layers.7." in k}
    (told,) = found(adapter(tmp_path / "mine", mine, r=4), index)
    assert (told.rule, told.severity) == ("near-duplicate", "medium")
    assert told.message.startswith("2 of 10 modules are copies")


def test_a_match_never_blocks(index: Path, tmp_path: Path) -> None:
    assert scan(adapter(tmp_path / "mine", weights(1), r=4), known=index).verdict.outcome == "review"


def test_a_folder_can_stand_for_an_index_and_gives_the_same_result_twice(tmp_path: Path) -> None:
    known = tmp_path / "known"
    adapter(known / "first", weights(0), r=4)
    mine = adapter(tmp_path / "mine", changed(weights(0), "rotated"), r=4)
    (told,) = found(mine, known)
    assert told.rule == "laundered"
    assert found(mine, known) == [told]


def test_shipped_adapters_trained_from_one_seed_are_alike_and_no_copies() -> None:
    """The eroded and the backdoored demo adapter share seed, base and most data; a search that calls them copies would call everything one."""
    told = found(shipped("eroded"), shipped("backdoored"))
    assert all(f.rule == "near-duplicate" and f.severity == "info" for f in told)
    table = scan(shipped("eroded"), known=shipped("guard")).table("sameness.matches")
    assert table is not None
    assert table.rows == ()


def test_without_known_adapters_it_says_so(tmp_path: Path) -> None:
    (coverage,) = [c for c in scan(adapter(tmp_path / "a")).coverage if c.probe == "sameness"]
    assert (coverage.status, "--known" in coverage.why) == ("not measured", True)


def test_numbers_that_are_none_are_not_compared(index: Path, tmp_path: Path) -> None:
    broken = weights(0)
    broken[f"{MODULE.format(0)}.lora_B.weight"][0, 0] = np.nan
    (coverage,) = [c for c in scan(adapter(tmp_path / "a", broken, r=4), known=index).coverage if c.probe == "sameness"]
    assert coverage.status == "not measured"


def test_the_index_command_says_what_it_left_out(tmp_path: Path) -> None:
    adapter(tmp_path / "all" / "good", weights(0), r=4)
    adapter(tmp_path / "all" / "empty", {k: v * 0 for k, v in weights(0).items()}, r=4)
    (adapter(tmp_path / "all" / "broken") / "adapter_model.safetensors").write_bytes(b"x")
    result = CliRunner().invoke(main, ["index", str(tmp_path / "all"), "--output", str(tmp_path / "i")])
    assert result.exit_code == 0
    assert result.stderr.count("left out") == 2
    assert "1 adapters" in result.stdout
    nothing = CliRunner().invoke(main, ["index", str(tmp_path / "all" / "broken"), "--output", str(tmp_path / "j")])
    assert (nothing.exit_code, (tmp_path / "j").exists()) == (2, False)
    assert CliRunner().invoke(main, ["index", str(tmp_path / "no"), "--output", str(tmp_path / "j")]).exit_code == 2
