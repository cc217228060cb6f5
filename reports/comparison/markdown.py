"""The comparison for a pull request."""

from __future__ import annotations

from collections.abc import Iterator

from reports.comparison.words import change, names, uncertainty, value
from reports.quoting import code, inline
from scanner.comparison import Comparison, Seen, State

MOST = (60, 20, 5)
"""Lines of each kind, from generous to tight; the first that fits is used."""
LARGEST = 60_000


class MarkdownComparison:
    """A comment that fits where GitHub and GitLab put it."""

    id = "markdown"

    def render(self, comparison: Comparison) -> bytes:
        """The comment, at most 60,000 characters."""
        for most in MOST:
            text = "\n".join(_lines(comparison, most)) + "\n"
            if len(text) <= LARGEST:
                break
        return text.encode("utf-8", "backslashreplace")


def _lines(found: Comparison, most: int) -> Iterator[str]:
    before, after = found.outcomes
    yield f"### unmask: {before.upper()} → {after.upper()}\n"
    yield f"{inline(found.kind)}: {' → '.join(code(n, 160) for n in names(found))}\n"
    yield f"- before: {inline(found.headlines[0])}\n- after: {inline(found.headlines[1])}"
    if not found.comparable:
        yield "- **not comparable**: adapter and deployment are both others, so a difference could come from either"
    yield from (f"- mind: {inline(text)}" for text in found.cautions)
    yield "\n**Worse**\n" if found.worse else "\n**Not worse**\n"
    yield from _some([f"- {inline(text)}" for text in found.worse], most)
    yield from _section("New findings", [_seen(s) for s in found.new], most)
    yield from _section("Findings that are gone", [_seen(s) for s in found.gone], most)
    yield from _section("Findings that changed", [f"{_seen(k.before)} → {_seen(k.after)}" for k in found.kept if k.changed], most)
    shifts = [s for s in found.shifts if s.state is not State.SAME]
    if shifts:
        yield "\n#### Measurements\n\n| | before | after | | how sure |\n|---|---|---|---|---|"
        for s in shifts[:most]:
            sure = f"{s.state}{uncertainty(s)}" + (f"; {inline(s.method)}" if s.method else "")
            yield f"| {inline(s.title)} {inline(s.unit)} | {_cell(s.before)} | {_cell(s.after)} | {change(s).removeprefix(', ')} | {sure} |"
        if len(shifts) > most:
            yield f"\nand {len(shifts) - most} more"
    yield from _section("No longer measured", [f"{inline(c.what)} ({code(c.probe)}): {inline(c.why)}" for c in found.coverage_lost], most)
    yield from _section("Newly measured", [f"{inline(c.what)} ({code(c.probe)})" for c in found.coverage_gained], most)
    yield from _section("Files", [f"{what}: {code(path)}" for what, path in found.files], most)


def _cell(cell: float | int | str | None) -> str:
    return inline(cell, 80) if isinstance(cell, str) else value(cell)


def _seen(seen: Seen) -> str:
    finding = seen.finding
    return f"{finding.severity}, {seen.outcome}: {inline(seen.title)} ({code(finding.rule)}): {inline(finding.message)}"


def _section(title: str, lines: list[str], most: int) -> Iterator[str]:
    if lines:
        yield f"\n#### {title}\n"
        yield from _some([f"- {line}" for line in lines], most)


def _some(lines: list[str], most: int) -> Iterator[str]:
    yield from lines[:most]
    if len(lines) > most:
        yield f"- and {len(lines) - most} more"
