"""Whether the delta, or a part of it, is that of an adapter seen before, however it is written."""

from __future__ import annotations

from collections.abc import Iterator

from scanner.delta.fingerprint import fingerprint
from scanner.files.text import printable
from scanner.finding import Finding
from scanner.known import ALIKE, COPY, Index, Match
from scanner.measurement import Column, Coverage, Measurement, Status, Table
from scanner.probe import Need, Yield
from scanner.rule import ATLAS_MASQUERADING, ATLAS_SUPPLY_CHAIN, Basis, Rule, Severity
from scanner.subject import Subject

WHOLE, HALF = 0.9, 0.5
REWRITTEN, UNRELATED = 2, 20
"""Differing bits of the handwriting: more than rounding does, and more than in factors that were trained from one start."""

DUPLICATE = Rule(
    id="near-duplicate",
    title="The delta is that of a known adapter, or a part of it is",
    severity=Severity.INFO,
    basis=Basis.STATISTIC,
    meaning="Modules of this adapter add what modules of an adapter given with --known add, up to scale and rounding, or nearly so.",
    why="A copy inherits what is known of the original. Raised to medium or high where the original is marked as bad. Adapters trained from one seed on "
    "nearly the same data are alike too.",
    fix="Read what is known of the original; if its licence or its author matters, ask which was first.",
    references=(ATLAS_SUPPLY_CHAIN,),
)
LAUNDERED = Rule(
    id="laundered",
    title="A known adapter's delta, written with other factors",
    severity=Severity.MEDIUM,
    basis=Basis.STATISTIC,
    meaning="The delta is that of an adapter given with --known, and its factors were rotated, permuted, re-ranked or mixed.",
    why="This changes every byte and no answer, which is how a known adapter gets past a list of hashes. Tools that change an adapter's rank do it too.",
    fix="Ask the author where the weights come from. Treat the adapter as the original.",
    references=(ATLAS_MASQUERADING, ATLAS_SUPPLY_CHAIN),
)


class SamenessProbe:
    """Fingerprints against an index of known adapters."""

    id = "sameness"
    title = "Known deltas"
    needs = Need.DELTA
    cost = "O(64 r d) a module for the fingerprint; the search is O(known adapters x modules), 0.44 s in the median for 100,000 adapters of 224 modules"
    rules = (DUPLICATE, LAUNDERED)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Look the delta up."""
        index = subject.known
        if index is None:
            yield self._not_measured("no index or folder of known adapters was given (--known)")
            return
        modules = subject.delta.modules
        prints = {} if subject.nonfinite else fingerprint(modules, index.key)
        if not prints:
            yield self._not_measured("no module has low-rank factors that could be compared")
            return
        matches = index.search(prints)
        yield _table(matches)
        if matches:
            yield _finding(index, matches, subject, len(prints))
        yield Measurement(
            id="sameness.similarity", title="Similarity to the most similar known adapter that is told", n=len(prints),
            value=round(max((m.similarity for m in matches), default=0.0), 4),
        )  # fmt: skip
        yield Coverage(
            probe=self.id, what="deltas of known adapters", status=Status.MEASURED, surface=f"{len(index.entries):,} known adapters, {len(prints)} modules",
            bound=f"copies at a cosine below {ALIKE:g} overall, and below 0.95 in every module, are not told",
        )  # fmt: skip

    def _not_measured(self, why: str) -> Coverage:
        return Coverage(probe=self.id, what="deltas of known adapters", status=Status.NOT_MEASURED, why=why)


def _finding(index: Index, matches: list[Match], subject: Subject, modules: int) -> Finding:
    """The best match, and a bad one before all others."""
    best = min(matches, key=lambda m: not m.entry.bad)
    entry = best.entry
    same = entry.sha256 == subject.adapter.sha256
    hand = index.hand(best, subject.delta.modules) or 0
    laundered = not same and ((best.copied >= WHOLE * best.common and hand > REWRITTEN) or (best.similarity >= ALIKE and hand > UNRELATED))
    name = printable(entry.name, 120) + (f" ({printable(entry.note, 160)})" if entry.note else "")
    marked = ", which is marked as bad" if entry.bad else ""
    what = "the same files as" if same else f"{best.copied} of {modules} modules are copies, similarity {best.similarity:.2f} over {best.common} modules, of"
    rule = LAUNDERED if laundered else DUPLICATE
    severity = rule.severity
    if entry.bad:
        severity = Severity.HIGH if same or laundered or best.copied >= HALF * best.common else Severity.MEDIUM
    return Finding(
        rule=rule.id,
        message=f"{what} {name}{marked}",
        severity=severity,
        details=(*(_line(m) for m in matches), f"a module is a copy when at most {COPY} of its 64 bits differ"),
    )


def _line(match: Match) -> str:
    entry = match.entry
    return (
        f"{printable(entry.name, 120)}: {match.copied} of {match.common} modules copied (it has {match.known}), similarity {match.similarity:.3f}, "
        f"chance 10^{match.log10_chance:.0f} or less" + (", marked as bad" if entry.bad else "")
    )


def _table(matches: list[Match]) -> Table:
    names = (
        ("name", "known adapter"), ("sha256", "SHA-256"), ("note", "note"), ("bad", "marked as bad"), ("copied", "modules copied"), ("common", "modules in common"),
        ("similarity", "similarity"),
    )  # fmt: skip
    rows = tuple(
        (printable(m.entry.name, 120), m.entry.sha256, printable(m.entry.note, 160), m.entry.bad, m.copied, m.common, round(m.similarity, 4)) for m in matches
    )
    return Table(id="sameness.matches", title="Known adapters with the same delta", columns=tuple(Column(*n) for n in names), rows=rows)
