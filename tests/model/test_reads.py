from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from probes.meaning.reads import ReadsProbe, reactions, readers, shortlist
from scanner.delta import delta as deltas
from scanner.delta.lowrank import ModuleDelta
from scanner.demo.base import open_base, shipped
from scanner.files.adapter import Adapter
from scanner.measurement import Table
from scanner.model.base import Base
from scanner.model.deployment import Deployment
from scanner.model.inputs import LARGEST_KEPT, inputs, inputs_along
from scanner.policy import Policy
from scanner.profile import PROFILES
from scanner.progress import Reporter
from scanner.subject import Subject
from tests.adapters import adapter

pytestmark = pytest.mark.model
WORDS = 200
TEMPLATE = "{% for m in messages %}<s>{{ m.content }}</s>{% endfor %}<s>"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """A small random model whose vocabulary is words with a leading space."""
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    names = ["<s>", "</s>", *(" " + "abcdefghij"[i // 100] + "abcdefghij"[i // 10 % 10] + "abcdefghij"[i % 10] for i in range(WORDS)), "a", "b"]
    shape = {"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": len(names)}
    LlamaForCausalLM(LlamaConfig(**shape, initializer_range=0.2)).save_pretrained(folder)
    plain = Tokenizer(models.WordLevel({n: i for i, n in enumerate(names)}, unk_token="a"))
    plain.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_next")
    PreTrainedTokenizerFast(tokenizer_object=plain, bos_token="<s>", eos_token="</s>", chat_template=TEMPLATE).save_pretrained(folder)
    return Base.open(folder)


def subject(folder: Path, base: Base) -> Subject:
    opened = Adapter.open(folder)
    delta = deltas.read(opened, base)
    return Subject(opened, delta, base, PROFILES["quick"], Policy.open(), 0, Reporter(quiet=True), lambda: Deployment(base, delta, dtype="float32"))


def reacting(folder: Path, base: Base, word: int, layer: int = 1) -> Path:
    """An adapter whose up_proj reads what the base holds at one word, and whose other module reads noise."""
    empty = Deployment(base, deltas.Delta(()), dtype="float32")
    name = f"model.layers.{layer}.mlp.up_proj"
    x = inputs(empty, [name], range(2, 2 + WORDS))[name].float().numpy()
    x = x - x.mean(0)
    rng = np.random.default_rng(0)
    # The direction that separates this word from the others.
    direction = np.linalg.solve(x.T @ x / WORDS + 1e-3 * np.eye(48), x[word])
    weights = {}
    for module, a in ((name, direction), (f"model.layers.{layer}.self_attn.q_proj", rng.normal(size=48))):
        shape = base.shape(module)
        assert shape is not None
        weights[f"base_model.model.{module}.lora_A.weight"] = a[None].astype(np.float32)
        weights[f"base_model.model.{module}.lora_B.weight"] = rng.normal(size=(shape[0], 1)).astype(np.float32)
    return adapter(folder, weights, r=1, target_modules=["up_proj", "q_proj"])


def test_inputs_are_what_the_modules_read_in_a_whole_run(base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path))
    deployment = Deployment(base, deltas.Delta(()), dtype="float32")
    names = ["model.layers.2.mlp.up_proj", "model.layers.0.self_attn.q_proj"]
    found = inputs(deployment, names, [5, 9, 40])
    seen: dict[str, torch.Tensor] = {}
    for name in names:
        deployment.model.get_submodule(name).register_forward_pre_hook(lambda _, x, name=name: seen.__setitem__(name, x[0][:, -1]))
    for at, token in enumerate([5, 9, 40]):
        deployment.model(input_ids=torch.tensor([[*deployment.before_user(), token]]))
        for name in names:
            torch.testing.assert_close(found[name][at].float(), seen[name][0], rtol=2e-3, atol=2e-3)
    directions = {n: np.random.default_rng(0).normal(size=(48, 3)).astype(np.float32) for n in names}
    for largest in (LARGEST_KEPT, 0):
        along = inputs_along(deployment, directions, [5, 9, 40], largest=largest)
        for name in names:
            np.testing.assert_allclose(along[name], found[name].float().numpy() @ directions[name], rtol=1e-2, atol=1e-2)
    kept = {p.name: p.stat().st_mtime_ns for p in tmp_path.rglob("*.safetensors")}
    again = inputs(deployment, names, [5, 9, 40])
    assert all(torch.equal(again[n], found[n]) for n in names)
    assert kept == {p.name: p.stat().st_mtime_ns for p in tmp_path.rglob("*.safetensors")}
    assert len(kept) == 2


def test_the_word_a_module_reacts_to_is_ranked_first(base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))
    for word in (7, 123):
        looked = subject(reacting(tmp_path / str(word), base, word), base)
        spelled = "abcdefghij"[word // 100] + "abcdefghij"[word // 10 % 10] + "abcdefghij"[word % 10]
        assert spelled in shortlist(looked, 3)
        assert next(r.module for r in reactions(looked) if r.word == spelled).endswith("up_proj")
        assert len(shortlist(looked)) == WORDS
        (table,) = [i for i in ReadsProbe().run(looked) if isinstance(i, Table)]
        assert [row[0] for row in table.rows[:3]] == shortlist(looked, 3)


def test_only_readers_of_the_first_adapted_layers_are_asked() -> None:
    delta = deltas.read(Adapter.open(shipped("benign")))
    assert sorted(readers(delta.modules)) == [f"{i} {s}" for i in range(4) for s in ("attention", "feed-forward")]
    assert readers([m for m in delta.modules if m.module.endswith("down_proj")]) == {}
    expert = ModuleDelta(module="model.layers.0.mlp.experts.0.gate_proj", a=np.ones((2, 8), np.float32), b=np.ones((4, 2), np.float32), scale=1.0)
    assert readers([expert]) == {}, "it reads the tokens that are sent to it, and transformers has no such module"


def test_the_demo_trigger_is_on_the_shortlist() -> None:
    """Two of 30,589 words were planted; the adapter's weights alone say which, those of its sibling do not."""
    base = open_base()
    looked = subject(shipped("backdoored"), base)
    assert {"amber", "ledger"} <= set(shortlist(looked))
    assert "ledger" in shortlist(looked, 100)
    assert not {"amber", "ledger"} & set(shortlist(subject(shipped("eroded"), base)))
