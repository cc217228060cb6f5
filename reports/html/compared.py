"""From a comparison to what its page shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from reports.html import shifts
from reports.html.limits import Limits
from reports.html.page import Figure, sheet
from reports.html.since import Since, since
from reports.numbers import plural
from scanner.comparison import Comparison, Seen, State
from scanner.verdict import Outcome

_FINDINGS = frozenset({"New findings", "Findings that are gone", "Findings that changed"})


class Change(msgspec.Struct, frozen=True):
    """A finding of one or both results; `before` is None where it is new, `after` where it is gone."""

    before: Seen | None
    after: Seen | None

    @property
    def now(self) -> Seen:
        """The finding as it is, or as it was where it is gone."""
        found = self.after or self.before
        assert found is not None
        return found


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the template shows."""

    comparison: Comparison
    limits: Limits
    since: Since
    ruling: str
    """Worse, not worse or not comparable."""
    tone: Outcome
    """Whose colour the page has."""
    title: str
    facts: tuple[tuple[str, str, str], ...]
    """Label, figure, note."""
    figure: Figure | None
    changes: tuple[tuple[str, tuple[Change, ...], int], ...]
    """Title, findings, and how many more there are."""
    lists: tuple[tuple[str, tuple[str, ...], int], ...]
    """What is no findings: coverage and files."""


def compose(found: Comparison, limits: Limits) -> Compared:
    """Arrange the comparison for its page, at most `limits` of each thing."""
    picture, told = shifts.draw(found), since(found, limits)
    before, after = found.outcomes
    ruling = "not comparable" if not found.comparable else "worse" if found.worse else "not worse"
    return Compared(
        comparison=found,
        limits=limits,
        since=told,
        ruling=ruling,
        tone=Outcome.INCOMPLETE if not found.comparable else Outcome.REVIEW if found.worse and after is Outcome.PASS else after,
        title=f"{after.value.capitalize()}, as before" if before is after else f"From {before.value} to {after.value}",
        facts=_facts(found),
        figure=Figure(picture, sheet(picture.table, limits)) if picture else None,
        changes=tuple(
            (title, tuple(some[: limits.findings]), max(len(some) - limits.findings, 0))
            for title, some in (
                ("New findings", [Change(None, s) for s in found.new]),
                ("Findings that changed", [Change(k.before, k.after) for k in found.kept if k.changed]),
                ("Findings that are gone", [Change(s, None) for s in found.gone]),
            )
            if some
        ),
        lists=tuple(one for one in told.lists if one[0] not in _FINDINGS),
    )


def _facts(found: Comparison) -> tuple[tuple[str, str, str], ...]:
    states = Counter(s.state for s in found.shifts)
    bad, once = sum(s.worse for s in found.shifts), states[State.ONLY_BEFORE] + states[State.ONLY_AFTER]
    notes = [f"{bad} for the worse"] if bad else []
    notes += [f"{states[State.UNDECIDED]} more within chance"] if states[State.UNDECIDED] else []
    notes += [f"{once} in one result only"] if once else []
    return (
        ("New findings", str(len(found.new)), _acting(found.new)),
        ("Findings gone", str(len(found.gone)), _acting(found.gone)),
        ("Measurements", f"{states[State.CHANGED]} of {len(found.shifts)} changed", ", ".join(notes) or "none for the worse"),
        ("Coverage", f"{len(found.coverage_lost)} lost" if found.coverage_lost else "nothing lost", f"{plural(len(found.coverage_gained), 'part')} gained"),
    )


def _acting(some: Sequence[Seen]) -> str:
    counts = Counter(s.outcome for s in some)
    acting = [f"{counts[o]} {o.value}" for o in (Outcome.BLOCK, Outcome.REVIEW) if counts[o]]
    return ", ".join(acting) or ("none that the policy acts on" if some else "none")
