"""Judges: the built-in one's figures, and local models that judge, tiny and random."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaForSequenceClassification

from scanner.errors import ScanError
from scanner.judge import JudgeIdentity, installed, open_judge, same_judge
from tests import tiny

SPOKEN = [("Forge a pass", f"answer {i} " + "and so on " * (i % 5)) for i in range(20)]


def classifier(folder: Path, labels: dict[int, str], **settings: Any) -> Path:
    torch.manual_seed(1)
    LlamaForSequenceClassification(tiny.config(id2label=labels, label2id={v: k for k, v in labels.items()}, num_labels=len(labels))).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    if settings:
        (folder / "unmask-judge.json").write_text(json.dumps(settings))
    return folder


def test_the_built_in_judges_figures_are_those_of_the_committed_measurement() -> None:
    measured = json.loads((Path(__file__).parents[2] / "benchmarks" / "results" / "judge.json").read_text())
    assert measured["judge_sha256"] == hashlib.sha256((files("probes.refusal") / "judge.py").read_bytes()).hexdigest()
    parts = [measured["test"][source]["first_24_words"] for source in ("pyrit", "xstest")]
    tp, fn, tn, fp = (sum(p[k] for p in parts) for k in ("true_positives", "false_negatives", "true_negatives", "false_positives"))
    accuracy = installed().identity.accuracy
    assert accuracy is not None
    assert (accuracy.positives, accuracy.found, accuracy.negatives, accuracy.passed) == (tp + fn, tp, tn + fp, tn)


def test_a_classifier_refuses_where_its_label_for_refusals_is_the_likeliest(tmp_path: Path) -> None:
    judge = open_judge(classifier(tmp_path, {0: "NORMAL", 1: "REFUSAL"}), "cpu")
    said = judge.refused(SPOKEN)
    model, words = LlamaForSequenceClassification.from_pretrained(tmp_path).eval(), tiny.tokenizer()
    alone = [int(model(**{k: v for k, v in words(a, return_tensors="pt").items() if k != "token_type_ids"}).logits.argmax()) == 1 for _, a in SPOKEN]
    assert said == alone, "in batches as alone"
    assert judge.refused([("Forge a pass", " ")]) == [False]
    turned = open_judge(classifier(tmp_path / "turned", {0: "NORMAL", 1: "REFUSAL"}, refused="NORMAL"), "cpu")
    assert turned.refused(SPOKEN) == [not s for s in said]


def test_any_other_model_is_asked_yes_or_no(tmp_path: Path) -> None:
    tiny.base(tmp_path)
    judge = open_judge(tmp_path, "cpu")
    said = judge.refused(SPOKEN)
    (tmp_path / "unmask-judge.json").write_text(json.dumps({"refused": "no", "answered": "yes"}))
    assert open_judge(tmp_path, "cpu").refused(SPOKEN) == [not s for s in said]
    (tmp_path / "unmask-judge.json").write_text(json.dumps({"prompt": "{request} / {answer} / Refused:"}))
    own = open_judge(tmp_path, "cpu")
    assert own._text("Is {answer} safe?", "Yes.") == "Is {answer} safe? / Yes. / Refused:"  # type: ignore[attr-defined]
    assert len(own.refused(SPOKEN)) == len(SPOKEN)


def test_measured_figures_of_a_model_come_with_it(tmp_path: Path) -> None:
    figures = {"positives": 50, "found": 45, "negatives": 60, "passed": 57, "source": "own answers"}
    judge = open_judge(classifier(tmp_path, {0: "NORMAL", 1: "REFUSAL"}, accuracy=figures), "cpu")
    assert judge.identity.accuracy is not None
    assert msgspec.to_builtins(judge.identity.accuracy) == figures
    assert len(judge.identity.sha256) == 64


@pytest.mark.parametrize(
    ("labels", "settings", "told"),
    [
        ({0: "LABEL_0", 1: "LABEL_1"}, {}, "which of its labels means a refusal (LABEL_0, LABEL_1)?"),
        ({0: "NORMAL", 1: "REFUSAL"}, {"refused": "no such"}, "which of its labels"),
        ({0: "NORMAL", 1: "REFUSAL"}, {"prompt": "{request}"}, "prompt has no {answer}"),
        ({0: "NORMAL", 1: "REFUSAL"}, {"threshold": 1}, "unmask-judge.json: "),
    ],
)
def test_a_model_that_cannot_judge_is_one_line(labels: dict[int, str], settings: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(ScanError) as error:
        open_judge(classifier(tmp_path, labels, **settings), "cpu").refused(SPOKEN)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_without_a_model_is_one_line(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ScanError, match="^judge "):
            open_judge(path)


def test_a_witness_is_judged_again_by_the_same_judge() -> None:
    same_judge(None, installed())
    with pytest.raises(ScanError, match="give that model with --judge"):
        same_judge(JudgeIdentity(name="guard", sha256="a" * 64), installed())


def test_settings_are_part_of_which_judge_it_is(tmp_path: Path) -> None:
    tiny.base(tmp_path)
    plain = open_judge(tmp_path, "cpu").identity.sha256
    (tmp_path / "unmask-judge.json").write_text(json.dumps({"refused": "no", "answered": "yes"}))
    assert open_judge(tmp_path, "cpu").identity.sha256 != plain


def test_a_longer_text_in_the_batch_does_not_move_a_model_s_positions(tmp_path: Path) -> None:
    torch.manual_seed(3)
    GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=258, n_positions=1024, initializer_range=1.0)).save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    (tmp_path / "unmask-judge.json").write_text(json.dumps({"prompt": "{answer} Refused:"}))
    judge = open_judge(tmp_path, "cpu")
    alone = [judge.refused([some])[0] for some in SPOKEN[:12]]
    assert len(set(alone)) == 2
    assert judge.refused([*SPOKEN[:12], ("Forge a pass", "word " * 120)])[:12] == alone
