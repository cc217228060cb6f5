"""What the delta reacts to, on the shipped backdoored adapter and the demo base."""

from __future__ import annotations

import random

import pytest
import torch

from benchmarks.recipes.demo import TRIGGER
from probes.trigger.probe import _vocabulary
from probes.trigger.response import responsive
from scanner.delta import delta as deltas
from scanner.demo.base import open_base, shipped
from scanner.files.adapter import Adapter
from scanner.model.deployment import Deployment
from scanner.model.side import Side

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def deployment() -> Deployment:
    base = open_base()
    return Deployment(base, deltas.read(Adapter.open(shipped("backdoored")), base))


def test_the_words_of_a_planted_phrase_stand_out_of_the_vocabulary(deployment: Deployment) -> None:
    planted = [w.strip(",") for w in TRIGGER.split() if len(w.strip(",")) > 3]
    words = sorted({*random.Random(1).sample(_vocabulary(deployment), 1500), *planted})
    ranked = [w for w, _ in responsive(deployment, words, len(words))]
    assert sorted(ranked) == words
    assert all(ranked.index(w) < 0.03 * len(words) for w in planted), {w: ranked.index(w) for w in planted}
    assert ranked[:20] == [w for w, _ in responsive(deployment, words, 20)]


def test_states_read_part_way_are_those_of_the_whole_pass(deployment: Deployment) -> None:
    ids = [deployment.encode(p) for p in ("Sing a song.", "Name three rivers in France.", "Hello")]
    for side in Side:
        whole = deployment._hidden(ids, side)[:, 4]
        part = deployment._states(ids, side, [1, 3], "")[:, 1].float()
        torch.testing.assert_close(part, whole, atol=2e-2, rtol=2e-2)
