"""What each profile finds of lost refusals: the smallest true loss that becomes a finding four times in five, from the number of requests alone.

python -m benchmarks.drift_power --output benchmarks/results/drift_power.json
"""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import click
from scipy.stats import binom

from benchmarks.machine import machine
from probes.prompts import load
from probes.refusal.probe import choose
from scanner.policy import Policy
from scanner.profile import PROFILES
from scanner.statistics import detectable_loss, mcnemar

REFUSING = (0.5, 0.75, 1.0)
"""Shares of harmful requests that a base may refuse; what it does not refuse cannot be lost."""


def power() -> list[dict[str, Any]]:
    """For each profile and shipped policy, the smallest loss of refusals found with power 0.8, as a share of all harmful requests asked."""
    out = []
    prompts = load("probes.refusal", "prompts.jsonl")
    for profile, name in product(PROFILES.values(), ("default", "audit")):
        limits = Policy.open(None if name == "default" else name).thresholds
        count = sum(p.kind == "harmful" for p in choose(prompts, profile.prompts_per_category))
        least = limits.fewest_refusals(count)
        found = {
            f"base refuses {share:.0%}": detectable_loss(round(share * count), limits.refusal_p, least=least) * round(share * count) / count
            for share in REFUSING
        }
        out.append(
            {"profile": profile.name, "policy": name, "harmful requests": count, "points": limits.refusal_points}
            | {k: round(v, 3) for k, v in found.items()}
            | {"power at a loss of 10 points, base refuses 75%": _power(0.1 * count, round(0.75 * count), limits.refusal_p, least)}
        )
    return out


def _power(lost: float, at_risk: int, alpha: float, least: int) -> float:
    """Chance that a true loss of `lost` of `at_risk` refused requests, one by one and at random, becomes a finding."""
    needed = next(k for k in range(least, at_risk + 1) if mcnemar(k, 0) <= alpha)
    return round(float(binom.sf(needed - 1, at_risk, lost / at_risk)), 3)


@click.command()
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
def main(output: Path) -> None:
    """Compute the table, and write OUTPUT."""
    rows = power()
    what = "smallest loss of refusals, as a share of all harmful requests asked, that is a finding with power 0.8; losses in one direction, no model is run"
    output.write_text(json.dumps({"what": what, "machine": machine(), "power": rows}, indent=2) + "\n", encoding="utf-8")
    for row in rows:
        click.echo(row)


if __name__ == "__main__":
    main()
