"""The rates that the refusal probe hands on, without a model."""

from __future__ import annotations

from probes.prompts import load
from probes.refusal.answers import rate
from scanner.measurement import fingerprint


def test_a_rate_names_the_prompts_that_count() -> None:
    asked = load("probes.refusal", "prompts.jsonl")[:4]
    found = rate("refusal.harmful.base", "Refusals", asked, [True, False, False, True], "harmful")
    assert (found.count, found.n, found.value, found.worse) == (2, 4, 0.5, "lower")
    assert found.items == tuple(sorted((asked[0].id, asked[3].id)))
    assert found.asked == fingerprint((p.id, p.prompt) for p in asked)
