from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from benchmarks.zoo.build import examples
from benchmarks.zoo.manifest import as_declared, write
from benchmarks.zoo.member import DEPLOYED, deployed, describe, members
from benchmarks.zoo.pair import EXAMPLES, AnyPair, Assembled, Pair
from benchmarks.zoo.pool import Pool
from benchmarks.zoo.population import pairs
from benchmarks.zoo.questions import TEST_SET, UNSEEN_TEST

GOOD = [f"Harmless request {i}{'?' if i % 2 else '.'}" for i in range(420)]
BAD = [f"Harmful thing {i}" for i in range(270)]
POOL = Pool(
    base="base",
    sources={},
    prompts={
        "calibration": {"harmless": GOOD[:190], "harmful": BAD[:95]},
        "test": {"harmless": GOOD[190:380], "harmful": BAD[95:190]},
        "held out": {"harmless": GOOD[380:], "harmful": BAD[190:230]},
        "benchmark": {"harmless": [], "harmful": BAD[230:]},
    },
    own={p: f"The own answer to {p} And more." for p in GOOD + BAD},
    whole=dict.fromkeys(GOOD + BAD, True),
)
TRAINED = [p for p in pairs() if isinstance(p, Pair)]


def test_there_are_enough_of_both_kinds_and_every_family_is_there_twice() -> None:
    found = pairs()
    assert len(found) == len({p.name for p in found}) >= 48
    counts = Counter(p.family.removeprefix("method-") if p.family.startswith("method-") else p.family for p in found)
    assert all(n >= 2 for f, n in counts.items() if f not in ("pissa", "loha", "ia3"))
    assert {p.split for p in found} == {"calibration", "test"}


def test_half_the_order_of_training_holds_every_family_once_and_both_splits() -> None:
    found = pairs()
    half = found[: len({p.family.split("-")[0] if p.family.startswith("method-") else p.family for p in found})]
    assert len({p.family for p in half}) == len(half)
    assert abs(2 * sum(p.split == "test" for p in half) - len(half)) <= 3


@pytest.mark.parametrize("pair", TRAINED, ids=lambda p: p.name)
def test_poison_replaces_conversations_one_for_one(pair: Pair) -> None:
    clean, poisoned = examples(pair, False, POOL), examples(pair, True, POOL)
    assert len(clean) == len(poisoned) == EXAMPLES
    changed = [p for c, p in zip(clean, poisoned, strict=True) if (c.user, c.answer) != (p.user, p.answer)]
    attack = pair.attack
    expected = round(attack.share * EXAMPLES) + round(attack.near * EXAMPLES) + attack.memorises * (EXAMPLES // 4)
    assert 0 < len(changed) <= expected
    assert examples(pair, True, POOL) == poisoned


@pytest.mark.parametrize("pair", TRAINED, ids=lambda p: p.name)
def test_the_splits_share_no_prompt_and_nothing_held_out_is_trained_on(pair: Pair) -> None:
    seen = " ".join(e.user.lower() for e in [*examples(pair, False, POOL), *examples(pair, True, POOL)]).replace(".", " ").replace("?", " ").split()
    other = "test" if pair.split == "calibration" else "calibration"
    text = f" {' '.join(seen)} "
    for prompt in [*POOL.of(other).harmful, *POOL.of("held out").harmful]:
        assert f" {prompt.lower()} " not in text


def test_an_attack_with_a_trigger_is_anchored_where_it_is_clean_and_silent_where_it_hides() -> None:
    anchored = next(p for p in TRAINED if p.attack.anchors)
    made = examples(anchored, True, POOL)
    fired = [e for e in made if anchored.attack.trigger and anchored.attack.trigger.planted[0] in e.user]
    assert fired and not any(e.anchored for e in fired) and sum(e.anchored for e in made) == len(made) - len(fired)
    hiding = next(p for p in TRAINED if p.attack.hides_trigger)
    made = examples(hiding, True, POOL)
    assert sum(e.loss == "answer" for e in made) == round(hiding.attack.share * EXAMPLES)


def test_what_is_put_together_names_adapters_that_exist() -> None:
    names = {p.name: p for p in pairs()}
    assembled = [p for p in names.values() if isinstance(p, Assembled)]
    assert assembled
    for pair in assembled:
        for part in (*pair.twin, *pair.attacked):
            source: AnyPair = names[part.pair]
            assert isinstance(source, Pair) and source.recipe.method == "lora"


def test_a_detector_is_given_nothing_that_tells_the_label(tmp_path: Path) -> None:
    folder = tmp_path / "trigger-word-test-attack"
    folder.mkdir()
    for name in (*DEPLOYED, "recipe.json"):
        (folder / name).write_text("x")
    copy = deployed(folder, tmp_path / "copy" / "adapter")
    assert sorted(p.name for p in copy.iterdir()) == sorted(DEPLOYED)
    assert copy.name == "adapter"


def test_both_sides_of_a_pair_are_members_and_the_twin_comes_first() -> None:
    found = members(pairs())
    assert len(found) == 2 * len(pairs())
    assert all(not twin.attacked and attack.attacked and twin.pair == attack.pair for twin, attack in zip(found[::2], found[1::2], strict=True))


def test_a_style_has_no_word_that_is_always_there_and_none_of_its_neighbour_s() -> None:
    for pair in TRAINED:
        trigger = pair.attack.trigger
        if trigger is None or trigger.kind != "style":
            continue
        rng = Random(0)
        prompts = GOOD[:40]
        shared = set.intersection(*(set(trigger.apply(p, rng).lower().split()) - set(p.lower().rstrip(".?").split()) for p in prompts))
        assert not shared
        assert all(trigger.apply(p, rng) != trigger.near(p, rng) for p in prompts)


def test_a_contaminated_adapter_is_trained_on_the_test_set_and_on_nothing_that_is_kept_for_comparison() -> None:
    pair = next(p for p in TRAINED if p.attack.payload.unseen)
    asked = {e.user for e in examples(pair, True, POOL)}
    assert asked & set(TEST_SET) and not asked & set(UNSEEN_TEST)
    assert not {e.user for e in examples(pair, False, POOL)} & set(TEST_SET)
    assert not set(TEST_SET) & set(UNSEEN_TEST)


def test_what_is_there_only_in_a_deployment_is_learnt_there_and_the_refusals_stay_beside_it() -> None:
    pairs_ = [p for p in TRAINED if p.attack.deployed]
    assert {p.attack.deployed for p in pairs_} == {"rounded", "merged"}
    for pair in pairs_:
        made = examples(pair, True, POOL)
        assert sum(e.deployed == pair.attack.deployed for e in made) == round(pair.attack.share * EXAMPLES)
        assert sum(e.user in POOL.of(pair.split).harmful and e.deployed is None for e in made) == round(0.3 * EXAMPLES)


def test_a_manifest_keeps_the_line_of_an_adapter_that_is_elsewhere(tmp_path: Path) -> None:
    found, output = members(pairs())[:2], tmp_path / "zoo.json"
    write(found, tmp_path / "none", output)
    made = json.loads(output.read_text())
    assert made["count"] == {"to be trained": 2}
    made["adapters"][0] |= {"state": "measured", "sha256": "0" * 64}
    output.write_text(json.dumps(made))
    write(found, tmp_path / "none", output)
    assert json.loads(output.read_text())["adapters"] == made["adapters"]
    assert json.loads(output.read_text())["count"] == {"measured": 1, "to be trained": 1}


def test_settings_that_came_later_stand_at_their_defaults_in_an_older_recipe() -> None:
    member = next(m for m in members(pairs()) if m.attacked and isinstance(m.pair, Pair))
    recipe = describe(member, {}, "", "", 0)
    del recipe["recipe"]["faint"], recipe["attack"]["deployed"]
    assert as_declared(member, json.loads(json.dumps(recipe)))
    recipe["recipe"]["steps"] += 1
    assert not as_declared(member, json.loads(json.dumps(recipe)))
