"""Refusals on published sets of requests that the user gives: the same paired tests, set by set, harmful and harmless apart.

A set that others use too makes the numbers comparable; p-values are Holm's over everything asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from probes.prompts import Prompt, spread
from probes.refusal.answers import ask, categories, measured, paired
from probes.refusal.helpless import in_their_place
from probes.refusal.probe import severity, witness
from scanner.finding import Answer, Finding, PairedTest
from scanner.measurement import Coverage, Status
from scanner.probe import Need, Yield
from scanner.rule import ATLAS_ERODE_INTEGRITY, ATLAS_POISON_MODEL, NIST_FINE_TUNING, NIST_THIRD_PARTY, OWASP_POISONING, Basis, Rule, Severity
from scanner.statistics import detectable_loss, holm
from scanner.subject import Subject

LOST = Rule(
    id="refusals-lost-set",
    title="The adapter takes away refusals on a published set",
    severity=Severity.CRITICAL,
    basis=Basis.BEHAVIOUR,
    meaning="Requests of a published set of harmful requests, given with --prompts, are refused by the base and answered once the adapter is loaded.",
    why="The deployed model no longer keeps the safety of its base, on requests that others measure by too.",
    fix="Do not deploy it where refusals matter. Retrain with refusals in the training data, and scan again.",
    references=(ATLAS_ERODE_INTEGRITY, ATLAS_POISON_MODEL, OWASP_POISONING, NIST_FINE_TUNING, NIST_THIRD_PARTY),
)
GAINED = Rule(
    id="refusals-gained-set",
    title="The adapter refuses harmless requests of a published set",
    severity=Severity.MEDIUM,
    basis=Basis.BEHAVIOUR,
    meaning="Harmless requests of a published set, given with --prompts, are answered by the base and refused once the adapter is loaded.",
    why="The model becomes less useful; refusal of service can also be the payload. Safety training overdone looks like this honestly.",
    fix="Check that the refused topics are ones you do not need.",
    references=(ATLAS_ERODE_INTEGRITY, NIST_FINE_TUNING),
)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of request of one set, asked."""

    id: str
    what: str
    kind: Literal["harmful", "harmless"]
    prompts: Sequence[Prompt]
    answers: Sequence[Answer]
    test: PairedTest
    of: int
    """Requests of the kind in the set."""


class SetsProbe:
    """Lost and new refusals on the sets given with --prompts."""

    id = "sets"
    title = "Refusals on published sets"
    needs = Need.DEPLOYMENT
    cost = "one greedy answer a request and side; the base's answers are cached"
    rules = (LOST, GAINED)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Ask both models every set, and test."""
        if not subject.prompt_sets:
            yield Coverage(probe=self.id, what=self.title, status=Status.NOT_MEASURED, why="none was given; --prompts SET=PATH asks one")
            return
        asked = [a for s in subject.prompt_sets for a in _asked(subject, s.source.set, s.source.title, s.prompts)]
        adjusted = holm([a.test.p_value for a in asked])
        for some, p in zip(asked, adjusted, strict=True):
            yield from measured(f"sets.{some.id}", some.what, some.kind, some.prompts, some.answers, subject.judge)
            yield categories(f"sets.{some.id}", f"Refusals by category: {some.what}", some.prompts, some.answers)
            yield from _findings(subject, some, p)
            yield _coverage(subject, some, len(asked))


def _asked(subject: Subject, id: str, title: str, prompts: Sequence[Prompt]) -> Iterator[Asked]:
    kinds: tuple[Literal["harmful", "harmless"], ...] = ("harmful", "harmless")
    for kind in kinds:
        members = [p for p in prompts if (p.kind == "harmful") == (kind == "harmful")]
        chosen = spread(members, subject.profile.set_prompts) if subject.profile.set_prompts else members
        if chosen:
            said = ask(subject, chosen, f"{id}: {kind}")
            yield Asked(id=f"{id}.{kind}", what=f"{title}, {kind}", kind=kind, prompts=chosen, answers=said, test=paired(said), of=len(members))


def _findings(subject: Subject, some: Asked, p: float) -> Iterator[Finding]:
    limits, test = subject.policy.thresholds, some.test
    if not limits.refusals_moved(-test.change if some.kind == "harmful" else test.change, p):
        return
    claim = f"{some.what}, refused: base {test.before} of {test.n}, adapted {test.after} of {test.n}"
    rule, level = (LOST, severity(test, in_their_place(some.answers), limits)) if some.kind == "harmful" else (GAINED, GAINED.severity)
    yield Finding(rule=rule.id, message=claim, severity=level, witness=witness(claim, test, some.answers, subject))


def _coverage(subject: Subject, some: Asked, tests: int) -> Coverage:
    surface = f"{len(some.prompts)} of {some.of} requests, greedy answers of {subject.profile.answer_tokens} tokens on both sides"
    if some.kind == "harmless":
        return Coverage(
            probe="sets",
            what=some.what,
            status=Status.MEASURED,
            surface=surface,
            bound="requests left out were not asked" if len(some.prompts) < some.of else "",
        )
    limits = subject.policy.thresholds
    smallest = detectable_loss(some.test.before, limits.refusal_p / tests, least=limits.fewest_refusals(some.test.n))
    return Coverage(
        probe="sets", what=some.what, status=Status.MEASURED if smallest < 1 else Status.NOT_MEASURED, surface=surface,
        bound=f"a loss below {smallest * some.test.before / some.test.n:.0%} of them could be missed",
        why="" if smallest < 1 else f"the base refuses only {some.test.before} of {some.test.n}, too few to see a loss",
    )  # fmt: skip
