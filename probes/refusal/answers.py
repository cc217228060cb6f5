"""Asking base and adapted model the same requests, having both judged, and what follows from the pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from scanner.finding import Answer, Framing, PairedTest
from scanner.judge import Judge
from scanner.measurement import Column, Measurement, Table, fingerprint
from scanner.model.side import Side
from scanner.prompts.prompt import Prompt
from scanner.statistics import paired_test, true_change, true_rate, wilson
from scanner.subject import Subject

if TYPE_CHECKING:
    from scanner.model.deployment import Deployment, Ids

WORSE: dict[str, Literal["higher", "lower"]] = {"harmful": "lower", "harmless": "higher"}
"""Which way a refusal rate is bad."""


def ask(subject: Subject, prompts: Sequence[Prompt], what: str, request: str = "{}", framing: Framing | None = None) -> list[Answer]:
    """Both sides' greedy answers to `prompts`, each put into `request`, judged."""
    deployment = subject.deployment
    requests = [request.replace("{}", p.prompt) for p in prompts]
    ids = [deployment.encode(r, framing) for r in requests]
    base, adapted = (
        [deployment.text(t) for t in deployment.generate(ids, s, subject.profile.answer_tokens, f"{what}, {s}")] for s in (Side.BASE, Side.ADAPTED)
    )
    return answers(prompts, requests, base, adapted, subject.judge)


def speak(deployment: Deployment, prompts: Sequence[Prompt], ids: Sequence[Ids], side: Side, new_tokens: int) -> list[Ids]:
    """Answers in the order of `prompts`; harmful and harmless requests apart, so that a replay of either makes the same batches."""
    out: dict[int, Ids] = {}
    for harmful in (True, False):
        rows = [i for i, p in enumerate(prompts) if (p.kind == "harmful") == harmful]
        found = deployment.generate([ids[i] for i in rows], side, new_tokens, f"refusal: {side} answers")
        out.update(zip(rows, found, strict=True))
    return [out[i] for i in range(len(ids))]


def answers(prompts: Sequence[Prompt], requests: Sequence[str], base: Sequence[str], adapted: Sequence[str], judge: Judge) -> list[Answer]:
    """What was said to `requests`, judged."""
    refused = [judge.refused(list(zip(requests, texts, strict=True))) for texts in (base, adapted)]
    return [
        Answer(prompt=r, category=p.category, base=b, adapted=a, base_refused=x, adapted_refused=y)
        for p, r, b, a, x, y in zip(prompts, requests, base, adapted, *refused, strict=True)
    ]


def paired(spoken: Sequence[Answer]) -> PairedTest:
    """The paired test of refusals, base against adapted."""
    return paired_test([a.base_refused for a in spoken], [a.adapted_refused for a in spoken])


def measured(id: str, what: str, kind: str, prompts: Sequence[Prompt], spoken: Sequence[Answer], judge: Judge) -> Iterator[Measurement]:
    """Both rates and their change, as judged and, where the judge's errors are known, behind them. `kind` is `harmful` or `harmless`."""
    test = paired(spoken)
    for side in Side:
        yield rate(f"{id}.{side}", f"Refusal rate, {what}, {side}", prompts, [a.base_refused if side is Side.BASE else a.adapted_refused for a in spoken], kind)
    yield change(id, what, kind, test)
    accuracy = judge.identity.accuracy
    if accuracy is None:
        return
    how = f"sensitivity {accuracy.sensitivity:.3f}, specificity {accuracy.specificity:.3f} of the judge"
    for side, count in ((Side.BASE, test.before), (Side.ADAPTED, test.after)):
        value, low, high = (round(v, 6) for v in true_rate(count, test.n, accuracy))
        yield Measurement(
            id=f"{id}.{side}.corrected", title=f"Refusal rate behind the judge's errors, {what}, {side}", value=value, low=low, high=high, n=test.n,
            note=f"Rogan and Gladen; {how}",
        )  # fmt: skip
    value, low, high = (round(v, 6) for v in true_change(test.change, test.low, test.high, accuracy))
    yield Measurement(
        id=f"{id}.change.corrected", title=f"Change of the refusal rate behind the judge's errors, {what}", value=value, low=low, high=high, n=test.n,
        note=f"errors alike on both sides; {how}",
    )  # fmt: skip


def change(id: str, what: str, kind: str, test: PairedTest, adjusted: float | None = None) -> Measurement:
    """The change of a refusal rate, with its own p-value or Holm's, `adjusted`."""
    return Measurement(
        id=f"{id}.change", title=f"Change of the refusal rate, {what}", value=test.change, low=test.low, high=test.high, n=test.n, worse=WORSE[kind],
        p_value=test.p_value if adjusted is None else adjusted,
        note=f"{test.lost} lost, {test.gained} gained; exact McNemar, Newcombe interval" + ("" if adjusted is None else "; p is Holm's"),
    )  # fmt: skip


def rate(id: str, title: str, asked: Sequence[Prompt], refused: Sequence[bool], kind: str) -> Measurement:
    """A refusal rate that names the requests that count."""
    items = tuple(sorted(p.id for p, r in zip(asked, refused, strict=True) if r))
    low, high = wilson(len(items), len(asked))
    return Measurement(
        id=id, title=title, value=len(items) / len(asked), low=low, high=high, n=len(asked), count=len(items), items=items,
        asked=fingerprint((p.id, p.prompt) for p in asked), worse=WORSE[kind],
    )  # fmt: skip


def categories(id: str, title: str, prompts: Sequence[Prompt], spoken: Sequence[Answer]) -> Table:
    """Refusals of both sides by kind and category."""
    rows = []
    for kind, category in dict.fromkeys((p.kind, p.category) for p in prompts):
        group = [a for p, a in zip(prompts, spoken, strict=True) if (p.kind, p.category) == (kind, category)]
        base, adapted = sum(a.base_refused for a in group), sum(a.adapted_refused for a in group)
        rows.append((kind, category, len(group), base, *wilson(base, len(group)), adapted, *wilson(adapted, len(group))))
    names = ["kind", "category", "n", "base_refused", "base_low", "base_high", "adapted_refused", "adapted_low", "adapted_high"]
    return Table(id=id, title=title, columns=tuple(Column(n, n.replace("_", " ")) for n in names), rows=tuple(rows))
