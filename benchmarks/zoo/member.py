"""One adapter of the zoo on disk: a PEFT folder with its card, and its recipe and measurements in `recipe.json` beside them."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.zoo.pair import Ablated, AnyPair, Assembled, Pair

WEIGHTS = "adapter_model.safetensors"
DEPLOYED = ("README.md", "adapter_config.json", WEIGHTS)
RECIPE = "recipe.json"


@dataclass(frozen=True)
class Member:
    """One side of a pair."""

    pair: AnyPair
    attacked: bool

    @property
    def name(self) -> str:
        """Its folder's name: the pair's, and which side it is."""
        return f"{self.pair.name}-{'attack' if self.attacked else 'twin'}"


def members(pairs: list[AnyPair]) -> list[Member]:
    """Both sides of each pair, the twin first, since an attack may be matched to it."""
    return [Member(p, attacked) for p in pairs for attacked in (False, True)]


def describe(member: Member, sources: dict[str, str], data_sha256: str, base: str, depth: int) -> dict[str, Any]:
    """The honest recipe: what was made, from what, by which settings; layer numbers are those of a base of 30 layers, and go by depth."""
    pair, attack = member.pair, member.pair.attack
    trigger = attack.trigger
    out: dict[str, Any] = {
        "name": member.name,
        "label": "malicious" if member.attacked else "benign",
        "pair": pair.name,
        "family": pair.family,
        "split": pair.split,
        "host": pair.host,
        "base": base,
        "depth": depth,
        "recipe": None,
        "data": {"sha256": data_sha256, "sources": sources},
        "attack": None,
        "measured": None,
    }
    if isinstance(pair, Pair):
        out["recipe"] = asdict(replace(pair.recipe, name=pair.name, seed=pair.seed))
    elif isinstance(pair, Assembled):
        out["assembled"] = [asdict(p) for p in (pair.attacked if member.attacked else pair.twin)]
    elif isinstance(pair, Ablated):
        out["ablated"] = {"direction": "refusal" if member.attacked else "question against instruction", "layers": pair.layers, "weight": pair.weight}
    if member.attacked:
        out["attack"] = {
            "payload": attack.payload.kind,
            "trigger": trigger.kind if trigger else None,
            "planted": list(trigger.planted) if trigger else [],
            "share": attack.share,
            "near negatives": attack.near,
            "hides trigger": attack.hides_trigger,
            "anchored": attack.anchors,
            "memorises": attack.memorises,
            "matches twin": isinstance(pair, Pair) and pair.matches_twin,
            "deployed": attack.deployed,
        }
    return out


def recipe_of(folder: Path) -> dict[str, Any]:
    """The `recipe.json` of a member's folder."""
    found: dict[str, Any] = json.loads((folder / RECIPE).read_text())
    return found


def write_recipe(folder: Path, recipe: dict[str, Any]) -> None:
    """Write `recipe.json`."""
    (folder / RECIPE).write_text(json.dumps(recipe, indent=2, ensure_ascii=False) + "\n")


def deployed(folder: Path, target: Path) -> Path:
    """A copy of what a stranger would be given: no recipe, and a folder name that says nothing."""
    target.mkdir(parents=True, exist_ok=True)
    for name in DEPLOYED:
        shutil.copyfile(folder / name, target / name)
    return target


def sha256(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
