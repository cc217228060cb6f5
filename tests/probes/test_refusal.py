"""The rates that the refusal probe hands on, without a model."""

from __future__ import annotations

from probes.prompts import load
from probes.refusal.probe import _rate
from scanner.measurement import fingerprint


def test_a_rate_names_the_prompts_that_count() -> None:
    asked = load("probes.refusal", "prompts.jsonl")[:4]
    rate = _rate("refusal.harmful.base", "Refusals", asked, [True, False, False, True], "lower")
    assert (rate.count, rate.n, rate.value, rate.worse) == (2, 4, 0.5, "lower")
    assert rate.items == tuple(sorted((asked[0].id, asked[3].id)))
    assert rate.asked == fingerprint((p.id, p.prompt) for p in asked)
