"""The delta among those of honest adapters made the same way: a conformal p-value, or why there is none."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from scanner.delta.summary import summary
from scanner.files.text import printable
from scanner.finding import Finding
from scanner.measurement import Column, Coverage, Measurement, Status, Table
from scanner.population import Comparison, recipe
from scanner.probe import Need, Yield
from scanner.rule import ATLAS_POISON_MODEL, OWASP_POISONING, Basis, Rule, Severity
from scanner.subject import Subject

LEVEL = 0.01
SHOWN = 12
STEPS = 4
"""Classes of the scores' histogram for each doubling."""
LEAST = 2.0**-4
"""Scores below this stand in the lowest class."""

OUTLIER = Rule(
    id="reference-outlier",
    title="The delta is unlike those of honest adapters made the same way",
    severity=Severity.LOW,
    basis=Basis.STATISTIC,
    meaning=f"Among honest adapters of the same base, method, rank and modules, {LEVEL:.0%} or fewer lie as far out in some statistic of their weights.",
    why="Another data set, learning rate or length of training moves these numbers as a payload does: it says unusual, not malicious.",
    fix="Read the behavioural part of the report. Where your adapters come from one pipeline, calibrate on them and raise the severity in the policy.",
    references=(ATLAS_POISON_MODEL, OWASP_POISONING),
)


class ReferenceProbe:
    """Statistics of the weights against a reference population."""

    id = "reference"
    title = "Reference population"
    needs = Need.DELTA
    cost = "O(adapters in the population x features)"
    rules = (OUTLIER,)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Find the adapters made the same way, and compare."""
        population, delta = subject.population, subject.delta
        if not delta.modules or subject.nonfinite:
            yield self._not_measured("no finite factors to measure")
            return
        if population is None:
            yield self._not_measured("no reference fits: none is shipped for this base; `unmask calibrate` makes one, --reference takes it")
            return
        declared = subject.adapter.config.base_model_name_or_path or ""
        if not population.is_of(declared, subject.base):
            other = subject.base.name if subject.base else f"the base the adapter declares, {declared or 'none'}"
            yield self._not_measured(f"no reference fits: the population is of {printable(population.base, 120)}, not of {printable(other, 120)}")
            return
        made = recipe(delta)
        cell = population.cell(made)
        values = summary(subject.statistics)
        if cell is None or set(cell.features) != set(values):
            known = "; ".join(str(c.recipe) for c in population.cells[:4]) or "nothing"
            yield self._not_measured(f"no reference fits {made}; the population of this base holds {known}")
            return
        found = cell.compare(values, subject.adapter.sha256)
        yield _table(found)
        yield _histogram(found)
        yield Measurement(
            id="reference.p", title="Share of honest adapters made the same way that lie as far out (conformal p-value)", value=round(found.p_value, 6), n=found.n,
            p_value=found.p_value, note=f"furthest: {printable(found.deviants[0].feature, 160)}, z = {found.deviants[0].z:+.1f}; cannot be below 1/{found.n + 1}",
        )  # fmt: skip
        yield Measurement(
            id="reference.score", title="Furthest statistic from the middle of honest adapters, in robust standard deviations", value=_r(found.score), n=found.n
        )
        if found.p_value <= LEVEL:
            yield Finding(
                rule=OUTLIER.id,
                message=f"p = {found.p_value:.3g} among {found.n} adapters; furthest in {printable(found.deviants[0].feature, 160)}",
                severity=OUTLIER.severity,
                details=tuple(_line(found, i) for i in range(min(SHOWN, len(found.deviants)))),
            )
        yield Coverage(
            probe=self.id, what="statistics of the delta among honest adapters", status=Status.MEASURED, surface=f"{found.n} adapters, {made}",
            bound="honest by the word of whoever gathered them; a p-value holds for adapters drawn as they were",
        )  # fmt: skip

    def _not_measured(self, why: str) -> Coverage:
        return Coverage(probe=self.id, what="statistics of the delta among honest adapters", status=Status.NOT_MEASURED, why=why)


def _line(found: Comparison, at: int) -> str:
    d = found.deviants[at]
    return f"{printable(d.feature, 160)}: {d.value:.4g}, the population's middle 90 % is {d.low:.4g} to {d.high:.4g} (z = {d.z:+.1f})"


def _table(found: Comparison) -> Table:
    names = (("feature", "feature"), ("value", "this adapter"), ("low", "5 % of the population"), ("high", "95 % of the population"), ("z", "z"))
    rows = tuple((printable(d.feature, 160), _r(d.value), _r(d.low), _r(d.high), _r(d.z)) for d in found.deviants[:SHOWN])
    return Table(id="reference.features", title="Where the adapter lies among honest ones", columns=tuple(Column(*n) for n in names), rows=rows)


def _histogram(found: Comparison) -> Table:
    """How many adapters lie how far out, in classes that double every four."""
    counts = Counter(math.floor(STEPS * math.log2(max(score, LEAST))) for score in found.scores)
    names = (("low", "from"), ("high", "to below"), ("adapters", "adapters"))
    rows = tuple((_r(2 ** (k / STEPS)), _r(2 ** ((k + 1) / STEPS)), counts[k]) for k in sorted(counts))
    return Table(
        id="reference.scores", title="How far out honest adapters lie: the furthest of their statistics", columns=tuple(Column(*n) for n in names), rows=rows
    )


def _r(value: float) -> float:
    return float(f"{value:.6g}")
