"""What the adapter costs: right answers of base and adapted model to the same questions, paired.

The shipped questions are asked in two wordings. An adapter that learnt their wording gains on it what it does not gain on the other;
that difference of differences is the contamination. Tasks named with --tasks are asked through lm-eval, item by item on both
sides, and their items held against those of another split (contamination.py). McNemar's exact test where an item is right or wrong, else
sign flips of the items; p-values are Holm's over everything asked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import fmean

import msgspec

from probes.capability.contamination import FEWEST, Gains, gains
from probes.capability.pack import Question, questions, right
from scanner.files.text import printable
from scanner.finding import Finding
from scanner.measurement import Column, Coverage, Measurement, Status, Table
from scanner.model.harness import Scored, evaluate
from scanner.model.side import Side
from scanner.model.splits import splits
from scanner.probe import Need, Yield
from scanner.rule import ATLAS_ERODE_INTEGRITY, NIST_FINE_TUNING, NIST_MODEL_CARDS, OWASP_POISONING, Basis, Rule, Severity
from scanner.statistics import clustered, detectable_loss, holm, paired_test
from scanner.subject import Subject

POINTS = 10.0
P = 0.01
ALL = "pack"
"""The id of all shipped questions together."""

LOST = Rule(
    id="capability-lost",
    title="The adapter makes the model worse at what the base can do",
    severity=Severity.LOW,
    basis=Basis.STATISTIC,
    meaning="Questions that the base answers rightly are answered wrongly once the adapter is loaded.",
    why="Narrow training forgets; wrong answers on purpose look like this too. An adapter for one task may do this honestly.",
    fix="Weigh it against what the adapter is for, and say it in the card.",
    references=(ATLAS_ERODE_INTEGRITY, NIST_FINE_TUNING, NIST_MODEL_CARDS),
)
MEMORISED = Rule(
    id="benchmark-memorised",
    title="The adapter knows questions by their wording",
    severity=Severity.MEDIUM,
    basis=Basis.STATISTIC,
    meaning="What the adapter gains on questions as they are published is not gained on the same questions in other words, or on other questions of the same task.",
    why="A score on those questions says nothing about the model: it was trained on them.",
    fix="Do not rely on the adapter's published scores; measure on questions that are not public.",
    references=(OWASP_POISONING, NIST_FINE_TUNING, NIST_MODEL_CARDS),
)


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One group of questions on both sides."""

    id: str
    title: str
    n: int
    base: float
    adapted: float
    change: float
    low: float
    high: float
    p: float
    how: str
    higher: bool
    """Whether more is better."""
    points: bool
    """Whether the score is a share of items answered rightly."""


class CapabilityProbe:
    """Right answers, base against adapted."""

    id = "capability"
    title = "Capability and contamination"
    needs = Need.DEPLOYMENT
    cost = (
        "one prefill of some 290 short texts on each side; with --tasks, what lm-eval asks of them on each side, and one prefill of as many items of two splits"
    )
    rules = (LOST, MEMORISED)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Ask the shipped questions, and the tasks named."""
        compared: list[Compared] = []
        if subject.profile.drift:
            asked = questions()
            base, adapted = (right(subject.deployment, _worded(asked), side) for side in (Side.BASE, Side.ADAPTED))
            compared += _pack(asked, base[: len(asked)], adapted[: len(asked)])
            yield from _memorised(asked, base, adapted)
        found, missing = _tasks(subject)
        compared += found
        yield from _told(compared)
        for task in missing:
            yield Coverage(
                probe=self.id, what=printable(task, 80), status=Status.NOT_MEASURED, why="lm-eval gave no metric that is a number for every item on both sides"
            )
        yield _coverage(subject, compared)
        for some in compared:
            if some.n and not some.id.startswith(ALL):
                yield Coverage(
                    probe=self.id,
                    what=some.title,
                    status=Status.MEASURED,
                    surface=f"{some.n} items through lm-eval",
                    bound="paired item by item; other tasks were not asked",
                )
        yield from _contaminated(subject)


def _worded(asked: Sequence[Question]) -> list[tuple[str, Sequence[str]]]:
    """Every question as asked, then every question reworded."""
    return [(text, q.answers) for text, q in [*((q.asked, q) for q in asked), *((q.reworded, q) for q in asked)]]


def _coverage(subject: Subject, compared: Sequence[Compared]) -> Coverage:
    what = "shipped questions"
    if not subject.profile.drift:
        return Coverage(
            probe="capability", what=what, status=Status.NOT_MEASURED, why=f"the {subject.profile.name} profile leaves them out; use --profile standard"
        )
    pack = compared[0]
    right_before = round(pack.base * pack.n)
    smallest = detectable_loss(right_before, P / len(compared), least=math.ceil(POINTS / 100 * pack.n))
    return Coverage(
        probe="capability", what=what, status=Status.MEASURED, surface=f"{pack.n} questions in two wordings, four answers each, by likelihood",
        bound=f"a loss below {smallest:.0%} of the {right_before} that the base answers rightly could be missed, in one kind of them a larger one; arithmetic, common "
        "facts and reading alone; other skills were not seen",
    )  # fmt: skip


def _pack(asked: Sequence[Question], base: Sequence[bool], adapted: Sequence[bool]) -> Iterator[Compared]:
    """The shipped questions, all together, since one kind is few, and kind by kind."""
    yield _binary(ALL, "shipped questions, all", base, adapted, higher=True)
    for kind in dict.fromkeys(q.kind for q in asked):
        rows = [i for i, q in enumerate(asked) if q.kind == kind]
        yield _binary(f"{ALL}.{kind}", f"shipped questions, {kind}", [base[i] for i in rows], [adapted[i] for i in rows], higher=True)


def _memorised(asked: Sequence[Question], base: Sequence[bool], adapted: Sequence[bool]) -> Iterator[Yield]:
    """The gain on the wording asked less the gain on the other."""
    n = len(asked)
    gains = [float(adapted[i]) - base[i] - (float(adapted[n + i]) - base[n + i]) for i in range(n)]
    test = clustered(gains, [q.id for q in asked])
    yield Measurement(
        id="capability.memorised", title="Gain on questions as published, less the gain on the same questions reworded", value=round(test.mean, 4),
        low=round(test.low, 4), high=round(test.high, 4), p_value=test.p_value, n=n, worse="higher",
        note="difference of differences of the share answered rightly; bootstrap and sign flips over questions",
    )  # fmt: skip
    if test.mean * 100 >= POINTS and test.p_value <= P:
        yield Finding(
            rule=MEMORISED.id, severity=MEMORISED.severity,
            message=f"{test.mean:+.0%} on unmask's questions as they are published, beyond the gain on the same questions reworded",
        )  # fmt: skip


def _tasks(subject: Subject) -> tuple[list[Compared], list[str]]:
    """The tasks named, through lm-eval, and those of them that came to nothing."""
    if not subject.tasks:
        return [], []
    scored: list[dict[str, Scored | None]] = []
    for side in (Side.BASE, Side.ADAPTED):
        with subject.reporter.stage(f"lm-eval: {side}"):
            scored.append(evaluate(subject.deployment, subject.tasks, side, subject.profile.task_items, subject.seed, subject.allow_hub))
    pairs = {name: (scored[0].get(name), scored[1].get(name)) for name in sorted({**scored[0], **scored[1]})}
    found = [compare(before, after) for before, after in pairs.values() if before and after]
    return found, [name for name, pair in pairs.items() if not all(pair)]


def _contaminated(subject: Subject) -> Iterator[Yield]:
    """What the tasks' own items gain over those of another split, task by task."""
    measured: dict[str, tuple[str, Gains]] = {}
    for task in splits(subject.tasks, subject.profile.task_items, subject.seed, subject.allow_hub) if subject.tasks else []:
        gained = gains(subject.deployment, task)
        if gained is None:
            few = f"fewer than {FEWEST} items of a split can be asked as text, with answers that the other has as well" if task.name else ""
            why = task.problem or few or "the task has no training or validation split besides the one that is scored"
            yield Coverage(probe=CapabilityProbe.id, what=f"whether {task.task}'s items are known", status=Status.NOT_MEASURED, why=why)
            continue
        measured[task.task] = task.name, gained
    tests = [gained.test(len(measured)) for _, gained in measured.values()]
    for (name, (split, gained)), test, p in zip(measured.items(), tests, holm([t.p_value for t in tests]), strict=True):
        own, others = fmean(gained.scored), fmean(gained.other)
        yield Measurement(
            id=f"capability.contaminated.{name}", title=f"Gain of {name}'s scored items over its {split} split", value=round(test.mean, 4),
            low=round(test.low, 4), high=round(test.high, 4), p_value=p, n=sum(test.n), worse="higher",
            note=f"probability of the right answer a token, adapted less base: {own:+.3f} on {test.n[0]} scored items, {others:+.3f} on {test.n[1]} others; values dealt out anew, bootstrap interval; p is Holm's",
        )  # fmt: skip
        yield Coverage(
            probe=CapabilityProbe.id, what=f"whether {name}'s items are known", status=Status.MEASURED, surface=f"{test.n[0]} scored items, {test.n[1]} of the {split} split",
            bound="training on both splits, on few of the items or on answers in other words could be missed; splits that were made differently differ by themselves",
        )  # fmt: skip
        if min(test.mean, own) * 100 >= POINTS and p <= P:
            yield Finding(
                rule=MEMORISED.id, severity=MEMORISED.severity,
                message=f"{name}: right answers of the items that are scored gain {test.mean:.0%} of probability more than those of the {split} split",
            )  # fmt: skip


def compare(before: Scored, after: Scored) -> Compared:
    """One task on both sides, item by item."""
    items = sorted(before.values.keys() & after.values.keys())
    one, two = [before.values[i] for i in items], [after.values[i] for i in items]
    name, title = f"tasks.{before.task}", f"{before.task}, {before.metric}"
    if {*one, *two} <= {0.0, 1.0}:
        return _binary(name, title, [v == 1.0 for v in one], [v == 1.0 for v in two], before.higher_is_better)
    test = clustered([b - a for a, b in zip(one, two, strict=True)], items)
    return Compared(
        id=name, title=title, n=test.n, base=sum(one) / max(1, len(one)), adapted=sum(two) / max(1, len(two)), change=test.mean, low=test.low, high=test.high,
        p=test.p_value, how="signs flipped item by item, bootstrap interval", higher=before.higher_is_better, points=False,
    )  # fmt: skip


def _binary(id: str, title: str, base: Sequence[bool], adapted: Sequence[bool], higher: bool) -> Compared:
    test = paired_test(base, adapted)
    return Compared(
        id=id, title=title, n=test.n, base=test.before / max(1, test.n), adapted=test.after / max(1, test.n), change=test.change, low=test.low, high=test.high,
        p=test.p_value, how="exact McNemar, Newcombe interval", higher=higher, points=True,
    )  # fmt: skip


def _told(compared: Sequence[Compared]) -> Iterator[Yield]:
    """Measurements, the table and the findings of everything asked."""
    adjusted = holm([c.p for c in compared])
    rows, lost = [], list[Compared]()
    for c, p in zip(compared, adjusted, strict=True):
        yield Measurement(
            id=f"capability.{c.id}", title=f"Change of the score, {c.title}", value=round(c.change, 4), low=round(c.low, 4), high=round(c.high, 4), p_value=p, n=c.n,
            note=f"base {c.base:.3f}, adapted {c.adapted:.3f}; {c.how}; p is Holm's", worse="lower" if c.higher else "higher",
        )  # fmt: skip
        rows.append((c.title, c.n, round(c.base, 4), round(c.adapted, 4), round(c.change, 4), round(c.low, 4), round(c.high, 4), p))
        fall = -c.change if c.higher else c.change
        if c.points and fall * 100 >= POINTS and p <= P:
            lost.append(c)
    for c in lost:
        if c.id != ALL or not any(other.id.startswith(f"{ALL}.") for other in lost):
            yield Finding(rule=LOST.id, severity=LOST.severity, message=f"{c.title}: base {c.base:.0%}, adapted {c.adapted:.0%} of {c.n} items")
    if rows:
        names = (
            ("task", "questions"),
            ("n", "n"),
            ("base", "base"),
            ("adapted", "adapted"),
            ("change", "change"),
            ("low", "low"),
            ("high", "high"),
            ("p_value", "p, Holm"),
        )
        yield Table(id="capability.scores", title="Right answers, base against adapted", columns=tuple(Column(*n) for n in names), rows=tuple(rows))
