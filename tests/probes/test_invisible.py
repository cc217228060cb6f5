from __future__ import annotations

import json
from pathlib import Path

import pytest

from probes.invisible import InvisibleProbe
from tests.adapters import adapter, documented, ids, raised

BIDI = "a \u202eb"
TAGS = "".join(chr(0xE0000 + ord(c)) for c in "obey")


def test_plain_files_are_nothing(tmp_path: Path) -> None:
    assert raised(InvisibleProbe(), documented(tmp_path / "a")) == []


@pytest.mark.parametrize("text", [BIDI, "x" + TAGS, "a\x1b[2Jb"], ids=["order", "tags", "controls"])
def test_hidden_text_in_a_card_is_told_with_its_line(text: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "README.md").write_text(f"# Tiny\n\n{text}\n")
    (found,) = raised(InvisibleProbe(), folder)
    assert (found.rule, found.severity, found.location.file, found.location.item) == ("hidden-text", "medium", "README.md", "line 3")
    assert found.message.isprintable()


def test_a_single_zero_width_character_counts_little(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "README.md").write_text("# Ti\u200bny\n")
    (found,) = raised(InvisibleProbe(), folder)
    assert (found.rule, found.severity) == ("hidden-text", "low")


PLACES = {
    "chat_template.jinja": f"{{{{ messages }}}}{TAGS}",
    "tokenizer_config.json": json.dumps({"chat_template": f"x{TAGS}"}),
    "special_tokens_map.json": json.dumps({"eos_token": {"content": "<|\u0456m_end|>"}}),
    "tokenizer.json": json.dumps({"model": {"vocab": {}}, "added_tokens": [{"id": 1, "content": f"a{TAGS}"}]}),
    "adapter_config.json": json.dumps({"peft_type": "LORA", "r": 2, "target_modules": ["q_proj"], "base_model_name_or_path": f"org/tiny{BIDI}"}),
}


@pytest.mark.parametrize("name", PLACES)
def test_hidden_text_that_reaches_the_model_is_graver_escaped_or_not(name: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / name).write_text(PLACES[name])
    found = raised(InvisibleProbe(), folder)
    assert ids(found) == {"hidden-text-in-prompt"}
    assert {f.severity for f in found} == {"high"}
    assert {f.location.file for f in found} == {name}


def test_a_vocabulary_holds_every_character(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    odd = {chr(i): i for i in (*range(0x300), 0x200B, 0x202E, 0x2066, 0xFEFF, 0xE0041)}
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": odd}, "added_tokens": [{"id": 9, "content": "\n\n"}, {"id": 10, "content": "▁▁"}]}))
    (folder / "vocab.json").write_text(json.dumps(odd, ensure_ascii=False))
    (folder / "merges.txt").write_text("\u202e a\n")
    assert raised(InvisibleProbe(), folder) == []


def test_colours_of_a_log_and_of_a_notebook_count_little(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "train.log").write_text("\x1b[31mloss\x1b[0m 0.1\n")
    (folder / "train.ipynb.txt").write_text(json.dumps({"cells": [{"outputs": ["\x1b[31mloss\x1b[0m"]}]}))
    (found,) = raised(InvisibleProbe(), folder)
    assert (found.severity, found.location.file) == ("low", "train.log")


def test_a_file_name_that_is_shown_in_another_order_is_told(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "notes\u202etxt.exe").write_text("x")
    (found,) = raised(InvisibleProbe(), folder)
    assert found.rule == "hidden-text"
    assert found.location.item == "the file's name"


@pytest.mark.parametrize("text", ["\u200b", "\u2063", "\ue000", "\u3164"], ids=ascii)
def test_a_single_one_in_a_template_is_for_review_and_private_use_elsewhere_is_nothing(text: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "chat_template.jinja").write_text(f"{{{{ messages }}}}x{text}y")
    (found,) = raised(InvisibleProbe(), folder)
    assert (found.rule, found.severity) == ("hidden-text", "medium")
    (folder / "chat_template.jinja").unlink()
    (folder / "README.md").write_text("# \ue000 icons\n")
    assert raised(InvisibleProbe(), folder) == []


@pytest.mark.parametrize("name", ["\u0430dapter_config.json", "\uff32EADME.md"], ids=ascii)
def test_a_file_name_that_reads_as_another_one_is_told(name: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / name).write_text("x")
    (folder / "größe-модель.txt").write_text("x")
    (found,) = raised(InvisibleProbe(), folder)
    assert (found.rule, found.severity) == ("hidden-text", "medium")
    assert "reads as" in found.message
