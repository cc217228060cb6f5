"""What the zoo holds: every adapter, trained or still to be trained, with its hashes and what was measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.zoo.measure import TOOK
from benchmarks.zoo.member import WEIGHTS, Member, describe, recipe_of, sha256


def entry(member: Member, folder: Path) -> dict[str, Any]:
    """One line of the manifest."""
    if not folder.exists():
        return {"name": member.name, "pair": member.pair.name, "family": member.pair.family, "split": member.pair.split, "state": "to be trained"}
    recipe = recipe_of(folder)
    measured = recipe["measured"] or {}
    return {
        "name": member.name,
        "pair": member.pair.name,
        "family": member.pair.family,
        "split": member.pair.split,
        "label": recipe["label"],
        "state": "measured" if measured else "trained",
        "sha256": sha256(folder / WEIGHTS),
        "bytes": (folder / WEIGHTS).stat().st_size,
        "as declared": as_declared(member, recipe),
        "took": measured.get("attack", {}).get("took"),
        "conditional": measured.get("attack", {}).get("conditional"),
        "refusals lost": round(measured["refusals"]["harmful"]["base"] - measured["refusals"]["harmful"]["adapted"], 4) if measured else None,
    }


def as_declared(member: Member, recipe: dict[str, Any]) -> bool:
    """Whether the adapter was made by the settings its family declares now; otherwise training it again would give another one.

    Settings that came later stood at their defaults.
    """
    declared = json.loads(json.dumps(describe(member, {}, "", "", 0)))
    later: dict[str, dict[str, Any]] = {"recipe": {"faint": None}, "attack": {"deployed": None}}
    kept = {part: later[part] | value if part in later and value else value for part, value in recipe.items()}
    return all(kept.get(part) == declared.get(part) for part in ("recipe", "assembled", "ablated", "attack", "host"))


def write_uncommitted(found: Sequence[Member], adapters: Path, output: Path) -> None:
    """Write what there is of adapters that are not kept, each with its recipe and all that was measured."""
    there = [m for m in found if (adapters / m.name).exists()]
    report = {
        "what": f"adapters whose weights are not kept; an attack took where its payload comes {TOOK:.0%} more often than from the base",
        "machine": machine(),
        "base": sorted({recipe_of(adapters / m.name)["base"] for m in there}),
        "adapters": [entry(m, adapters / m.name) | {"recipe": recipe_of(adapters / m.name)} for m in there],
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=1) + "\n")


def write(found: Sequence[Member], adapters: Path, output: Path) -> None:
    """Write the manifest to `output`. What is not in `adapters` keeps the line it had there: most adapters are measured once and not kept."""
    before = {a["name"]: a for a in json.loads(output.read_text())["adapters"]} if output.exists() else {}
    entries = [entry(m, adapters / m.name) if (adapters / m.name).exists() else before.get(m.name) or entry(m, adapters / m.name) for m in found]
    states = [e["state"] for e in entries]
    report = {
        "what": f"the zoo's adapters; an attack took where its payload comes {TOOK:.0%} more often than from the base",
        "machine": machine(),
        "count": {state: states.count(state) for state in sorted(set(states))},
        "adapters": entries,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=1) + "\n")
