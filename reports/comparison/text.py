"""The comparison for a terminal: the verdicts, what is worse, then everything that is not the same."""

from __future__ import annotations

from collections.abc import Iterator

from reports.comparison.words import change, names, uncertainty, value
from scanner.comparison import Comparison, Seen, State
from scanner.files.text import printable
from scanner.measurement import Status

LINE = 240
MOST = 40


class TextComparison:
    """Plain lines."""

    id = "text"

    def render(self, comparison: Comparison) -> bytes:
        """At most forty lines of each kind."""
        return ("\n".join(_lines(comparison)) + "\n").encode("utf-8", "backslashreplace")


def _lines(found: Comparison) -> Iterator[str]:
    before, after = found.outcomes
    yield f"{before.upper()} -> {after.upper()}  {found.kind}: {' -> '.join(printable(n, 160) for n in names(found))}"
    yield f"  before: {printable(found.headlines[0], LINE)}"
    yield f"  after:  {printable(found.headlines[1], LINE)}"
    if not found.comparable:
        yield "  not comparable: adapter and deployment are both others, so a difference could come from either"
    for text in found.cautions:
        yield f"  mind: {printable(text, LINE)}"
    if found.worse:
        yield "worse:"
        yield from _some([f"  {printable(text, LINE)}" for text in found.worse])
    else:
        yield "not worse"
    yield from _section("new findings", [_seen(s) for s in found.new])
    yield from _section("findings that are gone", [_seen(s) for s in found.gone])
    changed = [k for k in found.kept if k.changed]
    yield from _section("findings that changed", [f"{_seen(k.before)} -> {_seen(k.after)}" for k in changed])
    shifts = [s for s in found.shifts if s.state is not State.SAME]
    lines = [
        f"{printable(s.title, 120)} [{printable(s.id, 80)}]: {value(s.before)} -> {value(s.after)} {printable(s.unit, 40)}".rstrip()
        + f": {s.state}{change(s)}{uncertainty(s)}{f'; {printable(s.method, LINE)}' if s.method else ''}"
        for s in shifts
    ]
    yield from _section("measurements", lines)
    same = len(found.shifts) - len(shifts)
    if same:
        yield f"{same} measurements are the same"
    yield from _section("no longer measured", [f"{printable(c.probe, 80)}, {printable(c.what, 120)}: {printable(c.why, LINE)}" for c in found.coverage_lost])
    yield from _section("newly measured", [f"{printable(c.probe, 80)}, {printable(c.what, 120)}" for c in found.coverage_gained if c.status is Status.MEASURED])
    yield from _section("files", [f"{what}: {printable(path, LINE)}" for what, path in found.files])


def _seen(seen: Seen) -> str:
    finding = seen.finding
    return f"{finding.severity} [{printable(finding.rule, 80)}], {seen.outcome}: {printable(finding.message, LINE)}"


def _section(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield f"{title}:"
        yield from _some([f"  {line}" for line in lines])


def _some(lines: list[str]) -> Iterator[str]:
    yield from lines[:MOST]
    if len(lines) > MOST:
        yield f"  and {len(lines) - MOST} more"
