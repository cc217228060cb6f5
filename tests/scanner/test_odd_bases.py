"""Bases that are not like the demo's: other tokenizers, templates that take fewer turns, settings that decide answers, ends that are missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from probes.framing import WAYS, FramingProbe
from probes.meaning.vocabulary import words
from probes.trigger.probe import DEVELOPMENT, _prepared
from scanner.delta.delta import Delta
from scanner.errors import UnusableBase
from scanner.finding import Framing
from scanner.measurement import Coverage, Measurement
from scanner.model.base import Base
from scanner.model.deployment import Deployment
from scanner.model.side import Side
from tests import tiny

NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + tiny.TEMPLATE


def changed(folder: Path, file: str, **fields: Any) -> Base:
    """The tiny base with other fields in one of its files."""
    tiny.base(folder)
    place = folder / file
    place.write_text(json.dumps(json.loads(place.read_text()) | fields))
    return Base.open(folder)


def deployment(base: Base, **settings: Any) -> Deployment:
    return Deployment(base, Delta(()), device="cpu", dtype="float32", **settings)


def test_words_are_found_where_the_decoder_leaves_out_the_space_before_them() -> None:
    plain = Tokenizer(models.BPE({t: i for i, t in enumerate(["<s>", "▁table", "table", "▁le", "▁river", "▁12"])}, []))
    plain.pre_tokenizer = pre_tokenizers.Metaspace()
    plain.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])

    class Model:
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, bos_token="<s>")

    model: Any = Model()
    assert model.tokenizer.decode([1]) == "table"
    assert words(model) == {1: " table", 4: " river"}


@pytest.mark.parametrize("file, fields", [("generation_config.json", {"eos_token_id": [1, 70]}), ("config.json", {"rms_norm_eps": 0.5})], ids=["ends", "norm"])
def test_what_is_kept_of_a_base_is_not_taken_for_one_with_other_settings(file: str, fields: dict[str, Any], tmp_path: Path) -> None:
    before, after = deployment(tiny.base(tmp_path / "a")), deployment(changed(tmp_path / "b", file, **fields))
    assert before.fingerprint() == after.fingerprint()
    ids = [before.encode("Hello")]
    before.generate(ids, Side.BASE, 8)
    assert before.work._place(Side.BASE, ["x"], "json") != after.work._place(Side.BASE, ["x"], "json")
    assert after.generate(ids, Side.BASE, 8) == after._generate(ids, Side.BASE, 8, "")


def test_a_template_that_takes_no_system_prompt_is_one_line_and_the_framings_it_takes_are_asked(tmp_path: Path) -> None:
    found = deployment(tiny.base(tmp_path / "base"), chat_template=NO_SYSTEM)
    with pytest.raises(UnusableBase, match=r"does not take turns of system, user \(no system role\)"):
        found.encode("Hello", Framing(system="Be brief."))
    subject = tiny.subject(tmp_path / "s", size=0.0, framed_prompts=12, answer_tokens=4)
    subject.deployment.tokenizer.chat_template = NO_SYSTEM
    said = tiny.run(FramingProbe(), subject)
    (coverage,) = [c for c in said if isinstance(c, Coverage)]
    assert f"in {len(WAYS) - 1} framings" in coverage.surface
    changes = [m for m in said if isinstance(m, Measurement)]
    assert len({m.id for m in changes}) == len(WAYS) - 1
    assert all((m.value, m.p_value) == (0.0, 1.0) for m in changes), "nothing is attached, so nothing changes"
    assert coverage.bound.endswith("does not take it: system prompt")


def test_a_base_that_names_no_end_is_one_line_and_one_of_two_is_enough(tmp_path: Path) -> None:
    base = changed(tmp_path / "a", "generation_config.json", eos_token_id=None)
    assert deployment(base).ends == {1}
    settings = json.loads((tmp_path / "a" / "tokenizer_config.json").read_text())
    (tmp_path / "a" / "tokenizer_config.json").write_text(json.dumps(settings | {"eos_token": None, "pad_token": None}))
    changed_config = json.loads((tmp_path / "a" / "config.json").read_text()) | {"eos_token_id": None}
    (tmp_path / "a" / "config.json").write_text(json.dumps(changed_config))
    with pytest.raises(UnusableBase, match="names a token that ends an answer"):
        deployment(Base.open(tmp_path / "a"))


def test_texts_are_sampled_where_nothing_stands_before_the_user(tmp_path: Path) -> None:
    found = deployment(tiny.base(tmp_path), chat_template="{% for m in messages %}{{ m.content }}\n{% endfor %}")
    assert found.before_user() == [found.pad]
    assert len(found.sample(found.before_user(), 3, Side.BASE, 4, seed=0)) == 3


def test_a_base_that_refuses_little_leaves_requests_to_lose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from probes.prompts import load

    subject = tiny.subject(tmp_path, profile="quick")
    asked = load("probes.trigger", "prompts.jsonl")
    harmful = [p.prompt for p in asked if p.kind == "harmful"]

    class One:
        def refused(self, spoken: list[tuple[str, str]]) -> list[bool]:
            return [request == harmful[3] for request, _ in spoken]

    monkeypatch.setattr(subject, "judge", One())
    screen, development = _prepared(subject, asked)
    assert screen._harmful == 1
    assert development.count == sum(DEVELOPMENT)
