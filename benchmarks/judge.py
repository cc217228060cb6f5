"""How well a refusal judge, the built-in one or a local model, agrees with people, on public answers labelled by hand.

Two sources, neither part of the project: PyRIT's refusal scorer evaluation (pypi.org/project/pyrit 1.1.0, under
pyrit/datasets/scorer_evals/refusal_scorer) and XSTest's annotated completions of five models
(github.com/paul-rottger/exaggerated-safety, model_completions). The patterns were written on a development part alone:
`refusal.csv`, and XSTest's odd prompts of all models but one. The rest is the test. Every answer is judged whole and cut to its
first words, as a scan cuts its answers.

    python -m benchmarks.judge --refusal-csv refusal.csv --refusal-csv refusal_extra.csv \
        --xstest-csv xstest_v2_completions_gpt4.csv --xstest-csv … --output benchmarks/results/judge.json

With `--judge FOLDER` a model judges; the `accuracy` of its output goes into that folder's unmask-judge.json.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import click
import msgspec

import probes.refusal.judge
from benchmarks.machine import machine
from scanner.judge import Judge, open_judge
from scanner.statistics import Accuracy, wilson

WORDS = 24
"""Length of a cut answer: about 32 tokens, a standard scan's answer."""
CUT = f"first_{WORDS}_words"
DEVELOPED_ON = "refusal.csv"
UNSEEN_MODEL = "llama2orig"
PYRIT = "pypi.org/project/pyrit 1.1.0, pyrit/datasets/scorer_evals/refusal_scorer"
XSTEST = "github.com/paul-rottger/exaggerated-safety d7bb5bd738c1fcbc36edd83d5e7d1b71a3e2d84d, model_completions"
SOURCE = f"first {WORDS} words of answers not used to write the judge: XSTest completions of five models, and PyRIT's refusal_extra.csv"
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class Label(Enum):
    """What people said of an answer."""

    COMPLIES = "full_compliance"
    REFUSES = "full_refusal"
    PARTLY = "partial_refusal"


@dataclass(frozen=True)
class Labelled:
    """One answer, its label, and whether it belongs to the development part."""

    request: str
    answer: str
    label: Label
    development: bool


def _rows(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a CSV file with comment and empty lines before its header."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        start = stream.tell()
        while (line := stream.readline()) and (line.startswith("#") or not line.strip()):
            start = stream.tell()
        stream.seek(start)
        yield from csv.DictReader(stream)


def refusal_answers(path: Path) -> list[Labelled]:
    """Answers of a PyRIT refusal file; `human_score` is 1 for a refusal."""
    return [
        Labelled(row["objective"], row["assistant_response"], Label.REFUSES if float(row["human_score"]) >= 0.5 else Label.COMPLIES, path.name == DEVELOPED_ON)
        for row in _rows(path)
    ]


def xstest_answers(path: Path) -> list[Labelled]:
    """Answers of an XSTest completions file with `final_label`, agreed by two annotators."""
    return [
        Labelled(
            row["prompt"],
            row["completion"],
            Label(row["final_label"].split("_", 1)[1]),
            UNSEEN_MODEL not in path.name and int(row["id"].rpartition("-")[2]) % 2 == 1,
        )
        for row in _rows(path)
    ]


def cut(answer: str) -> str:
    """The first words of an answer."""
    return " ".join(answer.split()[:WORDS])


def _share(part: int, whole: int) -> dict[str, Any]:
    low, high = wilson(part, whole)
    return {"rate": round(part / whole, 4) if whole else None, "interval": [round(low, 4), round(high, 4)]}


def score(answers: Sequence[Labelled], read: Callable[[str], str], judge: Judge) -> dict[str, Any]:
    """Counts and rates of the judge on what `read` leaves of each answer. Partial refusals are counted apart."""
    seen = Counter(zip((item.label for item in answers), judge.refused([(item.request, read(item.answer)) for item in answers]), strict=True))
    tp, fn = seen[Label.REFUSES, True], seen[Label.REFUSES, False]
    tn, fp = seen[Label.COMPLIES, False], seen[Label.COMPLIES, True]
    partly = seen[Label.PARTLY, True]
    return {
        "n": tp + fp + tn + fn,
        "true_positives": tp,
        "false_positives": fp,
        "true_negatives": tn,
        "false_negatives": fn,
        "sensitivity": _share(tp, tp + fn),
        "specificity": _share(tn, tn + fp),
        "partial_refusals": {"n": partly + seen[Label.PARTLY, False], "judged_refusal": partly},
    }


def scores(answers: list[Labelled], judge: Judge) -> dict[str, Any]:
    """Scores of the answers whole and cut."""
    return {"whole": score(answers, str, judge), CUT: score(answers, cut, judge)}


def accuracy(scored: Iterable[dict[str, Any]], source: str) -> Accuracy:
    """Those scores of cut answers together, as a judge carries them."""
    together = list(scored)
    tp, fn, tn, fp = (sum(s[CUT][k] for s in together) for k in ("true_positives", "false_negatives", "true_negatives", "false_positives"))
    return Accuracy(positives=tp + fn, found=tp, negatives=tn + fp, passed=tn, source=source)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@click.command()
@click.option("--refusal-csv", type=FILE, multiple=True, required=True, help="PyRIT's refusal.csv and refusal_extra.csv.")
@click.option("--xstest-csv", type=FILE, multiple=True, help="XSTest completions of one model, with final_label.")
@click.option("--judge", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Model folder that judges; the built-in judge otherwise.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
def main(refusal_csv: tuple[Path, ...], xstest_csv: tuple[Path, ...], judge: Path | None, output: Path) -> None:
    """Measure the judge and write counts, never texts, to OUTPUT."""
    sources = [(path, PYRIT, refusal_answers(path)) for path in refusal_csv] + [(path, XSTEST, xstest_answers(path)) for path in xstest_csv]
    judging = open_judge(judge)
    parts: dict[str, Any] = {}
    for part, development in (("test", False), ("development", True)):
        chosen = {path.name: [a for a in answers if a.development is development] for path, _, answers in sources}
        pyrit = [a for path in refusal_csv for a in chosen[path.name]]
        xstest = [a for path in xstest_csv for a in chosen[path.name]]
        parts[part] = {
            "pyrit": scores(pyrit, judging),
            "xstest": scores(xstest, judging),
            "files": {name: scores(answers, judging) for name, answers in chosen.items() if answers},
        }
    result = {
        "what": f"{judging.identity.name if judge else 'probes.refusal.judge.refuses'} against human labels; positive means refusal; intervals are Wilson's, 95 %",
        "parts": {
            "development": f"the patterns were written on {DEVELOPED_ON} and on XSTest's odd prompt ids, {UNSEEN_MODEL} left out",
            "test": f"refusal_extra.csv, XSTest's even prompt ids, and all of {UNSEEN_MODEL}; not read while the patterns were written",
        },
        "limits": "Labels judge an answer given its request. Answers off the topic (10 of refusal.csv's 70 refusals, 30 of refusal_extra.csv's 39, as read after "
        "the measurement) or correcting a loaded question's premise (part of XSTest's) are labelled refusals; opening words cannot tell them from answers. "
        "A cut answer keeps the label of the whole.",
        "files": {path.name: {"source": source, "sha256": _sha256(path), "answers": len(answers)} for path, source, answers in sources},
        "judge_sha256": judging.identity.sha256 or _sha256(Path(probes.refusal.judge.__file__)),
        "accuracy": msgspec.to_builtins(accuracy([parts["test"]["pyrit"], parts["test"]["xstest"]], SOURCE)),
        "machine": machine(),
        **parts,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for part in parts:
        for name, measured in parts[part].items():
            for title, entry in ({name: measured} if name != "files" else measured).items():
                whole = entry["whole"]
                click.echo(f"{part:12} {title:42} n={whole['n']:5} sensitivity {whole['sensitivity']['rate']} specificity {whole['specificity']['rate']}")


if __name__ == "__main__":
    main()
