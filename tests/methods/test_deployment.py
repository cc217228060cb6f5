"""The deployment that answers prompts, in batches with padding and shared beginnings, against PEFT asked prompt by prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from scanner.delta import delta as deltas
from scanner.files.adapter import Adapter
from scanner.model.base import Base
from scanner.model.deployment import Deployment
from scanner.model.side import Side
from tests.methods.cases import ACTIVATED, CASES
from tests.methods.models import VOCABULARY, build
from tests.methods.test_parity import loaded, saved

PROMPTS = ["w05 w09", "w05 w09 w11 w20 w33", "w05 w40 w07"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny base with a tokenizer and a chat template."""
    place = tmp_path_factory.mktemp("base")
    build("llama").save_pretrained(place)
    words = Tokenizer(WordLevel({f"w{i:02}": i for i in range(VOCABULARY)}, unk_token="w00"))
    words.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="w01", unk_token="w00")
    tokenizer.chat_template = "{% for m in messages %}w02 w03 {{ m['content'] }} w04{% endfor %}"
    tokenizer.save_pretrained(place)
    return place


@pytest.mark.parametrize("name", ["LORA", "IA3", "OFT", "LORA modules_to_save", "PROMPT_TUNING", "PREFIX_TUNING"])
@torch.no_grad()
def test_it_answers_as_peft_does_and_the_base_stays_what_it_was(name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))
    case = next(c for c in CASES if c.name == name)
    saved(case, tmp_path / "adapter")
    base = Base.open(folder)
    deployment = Deployment(base, deltas.read(Adapter.open(tmp_path / "adapter"), base), device="cpu", dtype="float32")
    peft_model: Any = loaded(case, tmp_path / "adapter")
    assert deployment.prefixed == ("TUNING" in name)
    ids = [deployment.encode(p) for p in PROMPTS]
    assert [len(i) for i in ids] == [5, 8, 6]
    ours = deployment.score(ids, Side.ADAPTED, lambda p: p[:, -1])
    theirs = torch.stack([peft_model(torch.tensor([i])).logits[0, -1].log_softmax(-1) for i in ids])
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    answers = deployment.generate(ids, Side.ADAPTED, 4)
    for prompt, answer in zip(ids, answers, strict=True):
        for step, token in enumerate(answer):
            assert int(peft_model(torch.tensor([prompt + answer[:step]])).logits[0, -1].argmax()) == token
    assert deployment.canary(PROMPTS) == 0.0
    deployment.check_base_unchanged()
    assert (ours - deployment.score(ids, Side.BASE, lambda p: p[:, -1])).abs().max() > 1e-3


INVOKED = ["w05 w09", "w07 w09 w11 w20 w33", "w05 w07 w09 w07 w09 w40", "w07 w40 w09"]


@torch.no_grad()
def test_an_activated_lora_acts_from_its_tokens_on(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))
    saved(ACTIVATED, tmp_path / "adapter")
    base = Base.open(folder)
    delta = deltas.read(Adapter.open(tmp_path / "adapter"), base)
    assert (delta.method, delta.unmeasured) == ("aLoRA", ())
    deployment = Deployment(base, delta, device="cpu", dtype="float32")
    assert deployment.prefixed
    model: Any = loaded(ACTIVATED, tmp_path / "adapter")
    ids = [deployment.encode(p) for p in INVOKED]
    assert [i[-2:] == [7, 9] for i in ids] == [True, False, False, True]
    never, beyond = ids[0][:-2], [*ids[1], 30, 31, 32]
    ids += [never, beyond]
    ours = deployment.score(ids, Side.ADAPTED, lambda p: p[:, -1])
    theirs = torch.stack([model(torch.tensor([i])).logits[0, -1].log_softmax(-1) for i in ids])
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    apart = (ours - deployment.score(ids, Side.BASE, lambda p: p[:, -1])).abs().amax(-1)
    assert (apart > 1e-3).tolist() == [True, True, True, True, False, True]
    for prompt, answer in zip(ids, deployment.generate(ids, Side.ADAPTED, 4), strict=True):
        asked = torch.tensor([prompt])
        assert answer == model.generate(input_ids=asked, max_new_tokens=len(answer), do_sample=False, eos_token_id=None)[0, len(prompt) :].tolist()
    assert deployment.canary(INVOKED) == 0.0
