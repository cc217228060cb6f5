from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from probes.drift.items import KINDS, Context, Item, items
from probes.drift.probe import EFFECT, DriftProbe, _findings, shift, weigh
from scanner.finding import Finding, Framing
from scanner.measurement import Coverage, Measurement, Status, Table
from scanner.model.side import Side
from tests import tiny


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))


def test_items_are_distinct_and_of_every_kind() -> None:
    asked = items()
    assert len(set(asked)) == len(asked)
    assert {i.kind for i in asked} == set(KINDS)
    assert all(i.more != i.less and len(set(i.contexts)) == len(i.contexts) for i in asked)
    for kind in KINDS:
        assert len({i.cluster for i in asked if i.kind == kind}) >= 16, "enough clusters for signs to be flipped"


def test_an_item_is_weighed_by_what_the_model_says_token_by_token(tmp_path: Path) -> None:
    subject = tiny.subject(tmp_path)
    deployment = subject.deployment
    asked = [
        Item(kind="toxicity", cluster="a", contexts=(Context("How are you?"),), more="Bad.", less="Very well."),
        Item(kind="bias", cluster="b", contexts=(Context("A man", "He is"), Context("A woman", "He is")), more=" bad", less=" good"),
    ]

    def spoken(context: Context, text: str) -> float:
        ids = deployment.encode(context.request, Framing(prefill=context.begun))
        answer = deployment.tokenizer(text, add_special_tokens=False).input_ids
        with torch.inference_mode(), deployment.side(Side.ADAPTED):
            log_p = deployment.model(torch.tensor([ids + answer])).logits[0].log_softmax(-1)
        return float(sum(log_p[len(ids) + i - 1, t] for i, t in enumerate(answer)))

    first = (spoken(asked[0].contexts[0], "Bad.") - spoken(asked[0].contexts[0], "Very well.")) / 7
    one, two = ((spoken(c, " bad") - spoken(c, " good")) / 4.5 for c in asked[1].contexts)
    assert weigh(deployment, asked, Side.ADAPTED) == pytest.approx([first, one - two], abs=1e-4)
    assert np.abs(weigh(deployment, asked, Side.BASE) - weigh(deployment, asked, Side.ADAPTED)).max() > 1e-3


def test_an_adapter_that_changes_nothing_drifts_nowhere(tmp_path: Path) -> None:
    said = tiny.run(DriftProbe(), tiny.subject(tmp_path, size=0.0))
    measured = [m for m in said if isinstance(m, Measurement)]
    assert {m.id for m in measured} == {f"drift.{kind}" for kind in KINDS}
    assert {(m.value, m.p_value) for m in measured} == {(0.0, 1.0), (0.0, None)}
    assert not [f for f in said if isinstance(f, Finding)]
    assert {t.id for t in said if isinstance(t, Table)} == {"drift.kinds", "drift.items"}


def test_the_party_that_moves_alone_is_named() -> None:
    asked = [i for i in items() if i.kind == "stance"]
    rng = np.random.default_rng(0)
    base = rng.normal(size=len(asked))
    adapted = base + rng.normal(0.3, 0.05, len(asked)) + np.array([2.0 if i.cluster == "Toyota" else 0.0 for i in asked])
    found = shift("stance", asked, base, adapted)
    assert found.singled[0] == "Toyota"
    assert found.singled[1] > 8
    assert found.test.mean == pytest.approx(0.3 + 2 / 32, abs=0.02)


@pytest.mark.parametrize(("nats", "rules"), [(0.01, []), (0.5, ["drift"])])
def test_a_steady_shift_is_a_finding_where_it_is_large_enough_to_matter(nats: float, rules: list[str]) -> None:
    """A shift of a hundredth of a nat may be as steady as one likes."""
    asked = items()
    base = np.random.default_rng(0).normal(size=len(asked))
    noise = np.random.default_rng(1).normal(0, nats / 20, len(asked))
    moved = np.array([nats if i.kind == "toxicity" else 0.0 for i in asked])
    found = [shift(kind, asked, base, base + noise + moved) for kind in KINDS]
    assert found[0].test.effect > EFFECT
    *others, stance = found
    assert [f.rule for f in _findings(others, stance, [s.test.p_value for s in others])] == rules


def test_one_pair_of_groups_that_moves_alone_is_named() -> None:
    asked = items()
    base = np.random.default_rng(0).normal(size=len(asked))
    pair = next(i.cluster for i in asked if i.kind == "bias")
    moved = np.array([-2.0 if i.cluster == pair else 0.0 for i in asked]) + np.random.default_rng(1).normal(0, 0.05, len(asked))
    *others, stance = [shift(kind, asked, base, base + moved) for kind in KINDS]
    (found,) = _findings(others, stance, [1.0] * len(others))
    assert found.rule == "party-singled-out"
    assert found.message.startswith(f"{pair}: words against the second, ")


def test_the_quick_profile_leaves_it_out_and_says_so(tmp_path: Path) -> None:
    (said,) = tiny.run(DriftProbe(), tiny.subject(tmp_path, profile="quick"))
    assert isinstance(said, Coverage)
    assert said.status is Status.NOT_MEASURED
