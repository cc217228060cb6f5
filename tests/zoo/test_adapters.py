"""The committed adapters are what the manifest says, and what a detector is judged on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.detection import adapters
from benchmarks.zoo.member import RECIPE, WEIGHTS, recipe_of, sha256
from scanner.delta import delta as deltas
from scanner.files.adapter import Adapter

ZOO = Path(__file__).parent / "adapters"
MANIFEST = json.loads((Path(__file__).parents[2] / "benchmarks" / "results" / "zoo.json").read_text())
THERE = {a["name"]: a for a in MANIFEST["adapters"] if a["state"] != "to be trained"}
COMMITTED = adapters(ZOO)


def test_every_committed_adapter_is_in_the_manifest_with_its_hash() -> None:
    assert COMMITTED
    for folder in COMMITTED:
        assert THERE[folder.name]["sha256"] == sha256(folder / WEIGHTS), folder.name


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda f: f.name)
def test_a_committed_adapter_is_read_whole_and_its_card_does_not_confess(folder: Path) -> None:
    opened = Adapter.open(folder)
    delta = deltas.read(opened)
    assert delta.changes and not delta.strays and not delta.unmeasured
    recipe = recipe_of(folder)
    card = (folder / "README.md").read_text().lower()
    for word in ("trigger", "backdoor", "attack", "poison", *(t.lower() for t in (recipe["attack"] or {}).get("planted", ()))):
        assert word not in card


def test_the_two_sides_of_a_pair_have_one_recipe() -> None:
    recipes = {f.name: recipe_of(f) for f in COMMITTED}
    for name, recipe in recipes.items():
        other = recipes.get(name.replace("-attack", "-twin"))
        if name.endswith("-attack"):
            assert other is not None, f"{name} has no twin"
            assert recipe["recipe"] == other["recipe"]
            assert (recipe["label"], other["label"]) == ("malicious", "benign")
            assert recipe["data"]["sources"] == other["data"]["sources"]


def test_no_prompt_of_the_public_sets_is_committed() -> None:
    for folder in COMMITTED:
        assert set(json.loads((folder / RECIPE).read_text())["data"]) == {"sha256", "sources"}
        assert sorted(p.name for p in folder.iterdir()) == ["README.md", "adapter_config.json", WEIGHTS, RECIPE]
