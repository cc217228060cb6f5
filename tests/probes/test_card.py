from __future__ import annotations

from pathlib import Path

import pytest

from probes.card import ITEMS, CardProbe, _state
from scanner.files import card
from tests.adapters import adapter, base, documented, ids, raised, spent

FULL = """---
base_model: org/tiny
license: apache-2.0
---
# Tiny
Base licence: Apache-2.0.
## Training data
A thousand notes.
## Training procedure
Trained with SFT for 3 epochs. Rank: 2, alpha: 4. Target modules: q_proj.
## Uses
To test.
## Evaluation
Scored 1 of 2.
## Limitations
Many.
"""


def with_card(folder: Path, text: str) -> Path:
    adapter(folder)
    (folder / "README.md").write_text(text)
    return folder


def test_no_card_is_told(tmp_path: Path) -> None:
    assert ids(raised(CardProbe(), adapter(tmp_path / "a"))) == {"card-missing"}


def test_a_full_card_is_nothing(tmp_path: Path) -> None:
    found = raised(CardProbe(), with_card(tmp_path / "a", FULL))
    assert found == [], found
    assert raised(CardProbe(), documented(tmp_path / "b")) == []


@pytest.mark.parametrize("text", ["", "Just words.", "# Tiny\n## Uses\n[More Information Needed]\n"])
def test_a_card_with_gaps_is_told(text: str, tmp_path: Path) -> None:
    assert ids(raised(CardProbe(), with_card(tmp_path / "a", text))) == {"card-incomplete"}


def test_a_missing_item_is_told_apart_from_an_empty_template(tmp_path: Path) -> None:
    (found,) = raised(CardProbe(), with_card(tmp_path / "a", FULL.replace("Many.", "[More Information Needed]").replace("## Uses\nTo test.\n", "")))
    assert found.details == ("intended use (missing)", "limitations (empty template)")


@pytest.mark.parametrize(
    ("old", "new", "item"),
    [
        ("org/tiny", "org/large", "base model"),
        ("Rank: 2", "Rank: 64", "rank"),
        ("Rank: 2", "| r | 2 |\n| rank | 16 |\nlora_r=16", ""),
        ("Rank: 2", "`r`: `16`", "rank"),
        ("alpha: 4", "lora_alpha = 32", "alpha"),
        ("Rank: 2", "Rank: 1 on the leaderboard", ""),
        ("Target modules: q_proj", "Target modules: v_proj", "target modules"),
        ("Target modules: q_proj", "Target modules:\n- k_proj\n- v_proj", "target modules"),
        ("Target modules: q_proj", "Target modules: `k_proj`, `v_proj`,\n`q_proj`", ""),
        ("Target modules: q_proj", "Target modules: all linear layers", ""),
        ("Many.", "trainable params: 64 || all params: 134,515,008 || trainable%: 0.1", ""),
        ("Many.", "trainable params: 4,194,304 || all params: 134,515,008", "trainable parameters"),
        ("license: apache-2.0", "license: apache-2.0\ntags: [lora, dora]", "method"),
        ("license: apache-2.0", "license: apache-2.0\ntags: [lora]\npipeline_tag: text-generation", ""),
    ],
)
def test_a_card_that_contradicts_the_files_is_told(old: str, new: str, item: str, tmp_path: Path) -> None:
    found = [f for f in raised(CardProbe(), with_card(tmp_path / "a", FULL.replace(old, new))) if f.rule == "card-contradiction"]
    assert [f.location.item for f in found] == ([item] if item else [])


@pytest.mark.parametrize("named", ["someone/Tiny", "[org/other, org/tiny]", "null", "3", "{a: b}"])
def test_a_card_that_names_the_base_another_way_is_no_contradiction(named: str, tmp_path: Path) -> None:
    assert "card-contradiction" not in ids(raised(CardProbe(), with_card(tmp_path / "a", FULL.replace("org/tiny", named))))


@pytest.mark.parametrize(
    "text",
    [
        "# h\n" + "r " * 250_000,
        "# h\n" + "rank::::" * 60_000,
        "# h\n" + "r" + " " * 500_000,
        "# h\n" + "a\n" * 250_000,
        "# h\n" + "<!--" * 120_000,
        "# use\n\n" * 60_000,
        "# h\n" + "rank =" + "=" * 500_000,
    ],
    ids=["r", "colons", "spaces", "lines", "comments", "headings", "equals"],
)
def test_a_hostile_card_is_graded_in_time(text: str, tmp_path: Path) -> None:
    folder = with_card(tmp_path / "a", text)
    started = spent()
    raised(CardProbe(), folder)
    assert spent() - started < 15


def test_the_state_of_each_item_of_an_empty_template(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Model\n" + "".join(f"## {words[0]}\n[More Information Needed]\n" for _, _, words, _ in ITEMS))
    found = card.read(tmp_path)
    assert {_state(found, keys, words, pattern)[0] for _, keys, words, pattern in ITEMS} == {"template"}


def test_another_task_in_the_front_matter_counts_little(tmp_path: Path) -> None:
    folder = with_card(tmp_path / "a", FULL.replace("license: apache-2.0", "license: apache-2.0\npipeline_tag: text-classification"))
    adapter(folder, task_type="CAUSAL_LM")
    (found,) = raised(CardProbe(), folder)
    assert (found.rule, found.severity, found.location.item) == ("card-contradiction", "low", "task")
    adapter(folder, task_type="SEQ_CLS")
    assert raised(CardProbe(), folder) == []


def test_a_base_that_only_the_card_names_is_held_against_the_one_scanned_on(tmp_path: Path) -> None:
    folder, against = with_card(tmp_path / "a", FULL), base(tmp_path / "base")
    adapter(folder, base_model_name_or_path=None)
    assert raised(CardProbe(), folder, against) == []
    (folder / "README.md").write_text(FULL.replace("org/tiny", "org/large"))
    assert ids(raised(CardProbe(), folder, against)) == {"card-contradiction"}


@pytest.mark.parametrize(
    "front", ["base_model: [\n---\n", "- a\n- b\n---\n", "base_model: &a x\nlicense: *a\n---\n", "x: !!python/name:os.system\n---\n", "base_model: x\n"]
)
def test_front_matter_that_cannot_be_read_is_told(front: str, tmp_path: Path) -> None:
    assert ids(raised(CardProbe(), with_card(tmp_path / "a", f"---\n{front}# x\n"))) == {"card-incomplete", "card-unreadable"}
