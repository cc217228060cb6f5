from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from probes.wrapper.probe import WrapperProbe
from tests.adapters import adapter, raised
from tests.probes.test_wrapper import model

PLAIN: dict[str, Any] = {"bos_token_id": 1, "eos_token_id": 2, "temperature": 0.7, "transformers_version": "4.40.0"}


def write(folder: Path, **settings: Any) -> None:
    (folder / "generation_config.json").write_text(json.dumps(PLAIN | settings))


@pytest.mark.parametrize("field", ["bad_words_ids", "sequence_bias", "force_words_ids", "suppress_tokens", "forced_bos_token_id", "forced_decoder_ids"])
def test_settings_that_favour_or_forbid_words_are_told(field: str, tmp_path: Path) -> None:
    folder, against = adapter(tmp_path / "a"), model(tmp_path / "base")
    write(against)
    write(folder, **{field: [[40, 41]]})
    (found,) = raised(WrapperProbe(), folder, against)
    assert (found.rule, found.severity, found.location.item) == ("generation-steered", "medium", field)
    (alone,) = raised(WrapperProbe(), folder)
    assert alone.rule == "generation-steered"
    assert alone.severity == ("low" if field.startswith(("suppress", "forced")) else "medium")
    write(against, **{field: [[40, 41]]})
    assert raised(WrapperProbe(), folder, against) == []


def test_other_settings_count_little_and_the_same_ones_nothing(tmp_path: Path) -> None:
    folder, against = adapter(tmp_path / "a"), model(tmp_path / "base")
    write(folder, transformers_version="5.0.0", pad_token_id=0)
    write(against)
    assert raised(WrapperProbe(), folder) == []
    assert raised(WrapperProbe(), folder, against) == []
    write(folder, temperature=1.9, eos_token_id=[2, 3])
    (found,) = raised(WrapperProbe(), folder, against)
    assert (found.rule, found.severity) == ("generation-changed", "low")
    assert len(found.details) == 2


@pytest.mark.parametrize("text", ["{", "[1]", "[" * 90_000])
def test_settings_that_cannot_be_examined_are_told(text: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "generation_config.json").write_text(text)
    (found,) = raised(WrapperProbe(), folder)
    assert (found.rule, found.severity) == ("generation-changed", "medium")
    assert "cannot be examined" in found.message


@pytest.mark.parametrize("settings", [{"eos_token_id": -1}, {"max_length": 10**12}, {"eos_token_id": [-1, -2]}], ids=str)
def test_answers_without_an_end_are_told(settings: dict[str, Any], tmp_path: Path) -> None:
    write(adapter(tmp_path / "a"), **settings)
    (found,) = raised(WrapperProbe(), tmp_path / "a")
    assert found.rule == "generation-endless"


def test_ordinary_ends_are_nothing(tmp_path: Path) -> None:
    write(adapter(tmp_path / "a"), eos_token_id=[2, 32000], max_length=131072, max_new_tokens=2048)
    assert raised(WrapperProbe(), tmp_path / "a") == []


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 100},
        {"guidance_scale": 50},
        {"min_new_tokens": 10**6},
        {"num_beams": 10**6},
        {"num_return_sequences": 10**6},
        {"max_time": 0.0001},
        {"repetition_penalty": 1e-6},
    ],
    ids=str,
)
def test_settings_far_outside_of_what_is_used_are_told(settings: dict[str, Any], tmp_path: Path) -> None:
    folder, against = adapter(tmp_path / "a"), model(tmp_path / "base")
    write(folder, **settings)
    (found,) = raised(WrapperProbe(), folder)
    assert (found.rule, found.severity) == ("generation-extreme", "medium")
    write(against, **settings)
    assert raised(WrapperProbe(), folder, against) == []


@pytest.mark.parametrize(("stops", "told"), [(["I cannot"], True), ("sorry", True), (["</s>", "<|im_end|>", "### Human:", "\n\n", "User:"], False)])
def test_answers_that_end_at_a_wording_are_told_and_marks_of_a_turn_are_not(stops: Any, told: bool, tmp_path: Path) -> None:
    write(adapter(tmp_path / "a"), stop_strings=stops)
    assert [f.location.item for f in raised(WrapperProbe(), tmp_path / "a") if f.rule == "generation-steered"] == ["stop_strings"] * told


def test_an_end_that_is_a_word_of_the_tokenizer_is_told(tmp_path: Path) -> None:
    folder, against = adapter(tmp_path / "a"), model(tmp_path / "base")
    write(folder, eos_token_id=[3, 2])
    assert raised(WrapperProbe(), folder) == []
    (folder / "tokenizer.json").write_text((against / "tokenizer.json").read_text())
    (found,) = raised(WrapperProbe(), folder)
    assert (found.rule, found.location.item) == ("generation-steered", "eos_token_id")
    assert "'ab'" in found.message


def test_settings_of_any_size_that_people_use_are_nothing(tmp_path: Path) -> None:
    used = {"temperature": 0.01, "top_p": 0.95, "repetition_penalty": 1.2, "num_beams": 5, "guidance_scale": 3, "length_penalty": 2.0, "min_length": 56}
    write(adapter(tmp_path / "a"), **used, max_length=142, no_repeat_ngram_size=3, do_sample=True, max_new_tokens=1)
    assert raised(WrapperProbe(), tmp_path / "a") == []
