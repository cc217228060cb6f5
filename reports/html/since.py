"""What changed since an earlier result, as the page shows it."""

from __future__ import annotations

import msgspec

from reports.comparison.words import change, names, value
from reports.html.limits import Limits
from reports.numbers import NONE, number, p_value
from scanner.comparison import Comparison, Seen, State


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A measurement that is not the same."""

    title: str
    id: str
    before: str
    after: str
    change: str
    interval: str
    p: str
    state: str
    method: str
    worse: bool


class Since(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison, cut to what fits."""

    kind: str
    comparable: bool
    outcomes: tuple[str, str]
    names: tuple[str, str]
    headlines: tuple[str, str]
    cautions: tuple[str, ...]
    worse: tuple[str, ...]
    worse_left_out: int
    rows: tuple[Row, ...]
    same: int
    """Measurements that are the same in both."""
    lists: tuple[tuple[str, tuple[str, ...], int], ...]
    """Title, lines, and how many more there are."""


def since(found: Comparison, limits: Limits) -> Since:
    """The comparison for the page."""
    moved = [s for s in found.shifts if s.state is not State.SAME]
    rows = tuple(
        Row(
            title=s.title, id=s.id, before=value(s.before), after=value(s.after), change=change(s).removeprefix(", ") or NONE,
            interval=f"{number(s.low)} to {number(s.high)}" if s.low is not None and s.high is not None else NONE,
            p=p_value(s.adjusted).removeprefix("= ") if s.adjusted is not None else NONE, state=s.state.value, method=s.method, worse=s.worse,
        )
        for s in moved[: limits.rows]
    )  # fmt: skip
    lists = (
        ("New findings", [_seen(s) for s in found.new]),
        ("Findings that are gone", [_seen(s) for s in found.gone]),
        ("Findings that changed", [f"{_seen(k.before)} → {_seen(k.after)}" for k in found.kept if k.changed]),
        ("No longer measured", [f"{c.probe}, {c.what}: {c.why}" for c in found.coverage_lost]),
        ("Newly measured", [f"{c.probe}, {c.what}" for c in found.coverage_gained]),
        ("Files", [f"{what}: {path}" for what, path in found.files]),
    )
    return Since(
        kind=found.kind.value,
        comparable=found.comparable,
        outcomes=(found.outcomes[0].value, found.outcomes[1].value),
        names=names(found),
        headlines=found.headlines,
        cautions=found.cautions[: limits.details],
        worse=found.worse[: limits.details],
        worse_left_out=max(len(found.worse) - limits.details, 0),
        rows=rows,
        same=len(found.shifts) - len(moved),
        lists=tuple((title, tuple(lines[: limits.details]), max(len(lines) - limits.details, 0)) for title, lines in lists if lines),
    )


def _seen(seen: Seen) -> str:
    return f"{seen.finding.severity}, {seen.outcome}: {seen.title}: {seen.finding.message}"
