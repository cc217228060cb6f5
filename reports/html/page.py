"""From a result to what the page shows: which findings decide, in which order, and how much of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import msgspec
from markupsafe import Markup

from reports import numbers
from reports.html import glossary, pictures
from reports.html.limits import Limits
from reports.html.picture import Picture
from reports.html.pictures import paired
from reports.html.since import Since, since
from scanner.comparison import Comparison
from scanner.finding import Answer, Finding, Framing, PairedTest, Witness
from scanner.measurement import Cell, Column, Coverage, Measurement, Status, Table
from scanner.result import Result
from scanner.rule import Basis, Rule, Severity
from scanner.verdict import Outcome, Reason

OPEN = 3
CARD = "card.items"
FLIPS = "refusal.flips"
_DIRECTIONS = {
    "refusal lost": ("Refused by the base, answered by the adapted model", (True, False)),
    "refusal gained": ("Answered by the base, refused by the adapted model", (False, True)),
}
"""Of a row of `refusal.flips`: its title, and whether base and adapted model refused."""


class Side(msgspec.Struct, frozen=True):
    """One answer of an exchange. `who` is base or adapted; `counted` tells whether it is what the test counts, None where it was not judged."""

    label: str
    who: str
    text: str
    counted: bool | None


class Exchange(msgspec.Struct, frozen=True):
    """One prompt and the answers to it, side by side."""

    prompt: str
    category: str
    sides: tuple[Side, ...]
    changed: bool


class Exhibit(msgspec.Struct, frozen=True, kw_only=True):
    """A witness as the page shows it."""

    claim: str
    sentence: str
    """The paired test in words."""
    bars: Markup
    payload: str
    """The words that an answer must say to be counted; refusals are, where there are none."""
    framing: tuple[tuple[str, str], ...]
    """What the requests stood in, each part with what it is."""
    trigger: str
    placement: str
    exchanges: tuple[Exchange, ...]
    """Changed pairs first."""
    left_out: int
    new_tokens: int


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A finding with the rule it was raised under."""

    index: int
    finding: Finding
    rule: Rule
    exhibit: Exhibit | None


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Findings of one rule."""

    rule: Rule
    severity: Severity
    cards: tuple[Card, ...]
    left_out: int


class Sheet(msgspec.Struct, frozen=True):
    """A table cut to what is shown of it."""

    table: Table
    rows: tuple[tuple[Cell, ...], ...]
    left_out: int


class Figure(msgspec.Struct, frozen=True):
    """A picture and the table behind it."""

    picture: Picture
    sheet: Sheet


class Flips(msgspec.Struct, frozen=True):
    """Prompts whose refusal changed in one direction."""

    title: str
    exchanges: tuple[Exchange, ...]
    total: int


class CardItem(msgspec.Struct, frozen=True):
    """What the model card says on one subject."""

    item: str
    state: str
    excerpt: str


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the template shows."""

    result: Result
    limits: Limits
    title: tuple[str, str]
    """The headline and the line under it."""
    outcome_means: str
    facts: tuple[tuple[str, str, str], ...]
    """Label, figure, note."""
    reasons: tuple[Reason, ...]
    """Empty where the title says the only one."""
    shown: tuple[int, ...]
    """Indices of the findings that have a place on the page."""
    deciding: tuple[Card, ...]
    groups: tuple[Group, ...]
    groups_left_out: int
    figures: tuple[Figure, ...]
    flips: tuple[Flips, ...]
    sheets: tuple[Sheet, ...]
    sheets_left_out: int
    card_items: tuple[CardItem, ...]
    coverage: tuple[tuple[Status, tuple[Coverage, ...]], ...]
    bounds: tuple[str, ...]
    """What may be there although it was not found."""
    since: Since | None
    """What changed since an earlier result, where one was given."""
    glossary: tuple[tuple[str, str], ...] = glossary.TERMS
    open: int = OPEN


_MEANS = {
    Outcome.PASS: "Nothing was found that the policy acts on. What could have been missed is stated under “Coverage”.",
    Outcome.REVIEW: "A person should read this before the adapter is deployed.",
    Outcome.BLOCK: "Do not deploy this combination.",
    Outcome.INCOMPLETE: "No verdict could be reached. Treat the adapter as not scanned.",
}


def compose(result: Result, limits: Limits, earlier: Comparison | None = None) -> Page:
    """Arrange `result`, and the comparison with an earlier one, for the page: at most `limits` of each thing."""
    rules = {r.id: r for r in result.rules}

    def card(index: int) -> Card:
        finding = result.findings[index]
        rule = rules.get(finding.rule) or _undeclared(finding)
        return Card(index=index, finding=finding, rule=rule, exhibit=_exhibit(finding.witness, limits) if finding.witness else None)

    named = [r.finding for r in result.verdict.reasons if r.finding is not None and 0 <= r.finding < len(result.findings)]
    deciding = list(dict.fromkeys(named))[: limits.cards]
    others = [i for i in range(len(result.findings)) if i not in set(deciding)]
    groups, groups_left_out = _grouped(result, others, card, limits)
    by_id = {t.id: t for t in result.tables}
    figures = [Figure(p, sheet(p.table, limits)) for p in pictures.draw(result)]
    items, flips = _card_items(by_id.get(CARD)), _flips(by_id.get(FLIPS), limits)
    told = {f.picture.table.id for f in figures} | ({CARD} if items else set()) | ({FLIPS} if flips else set())
    rest = [t for t in result.tables if t.id not in told]
    return Page(
        result=result,
        limits=limits,
        title=_title(result),
        outcome_means=_MEANS[result.verdict.outcome],
        facts=_facts(result),
        reasons=() if _said(result) else result.verdict.reasons[: limits.reasons],
        shown=tuple(sorted({*deciding, *(c.index for g in groups for c in g.cards)})),
        deciding=tuple(card(i) for i in deciding),
        groups=groups,
        groups_left_out=groups_left_out,
        figures=tuple(figures),
        flips=flips,
        sheets=tuple(sheet(t, limits) for t in rest[: limits.tables]),
        sheets_left_out=max(len(rest) - limits.tables, 0),
        card_items=items[: limits.rows],
        coverage=_coverage(result.coverage[: limits.rows]),
        bounds=_bounds(result.coverage)[: limits.details],
        since=since(earlier, limits) if earlier is not None else None,
    )


def _undeclared(finding: Finding) -> Rule:
    missing = "The result does not declare this rule."
    return Rule(
        id=finding.rule, title=finding.rule, severity=finding.severity, basis=Basis.STATISTIC, meaning=missing, why=missing, fix="Ask the probe's author."
    )


def _grouped(result: Result, indices: Iterable[int], card: Callable[[int], Card], limits: Limits) -> tuple[tuple[Group, ...], int]:
    """Findings by rule, in the order their first ones come; and how many rules were left out."""
    by_rule: dict[str, list[int]] = {}
    for index in indices:
        by_rule.setdefault(result.findings[index].rule, []).append(index)
    groups: list[Group] = []
    for members in list(by_rule.values())[: limits.rules]:
        cards = tuple(card(i) for i in members[: limits.findings])
        worst = max((result.findings[i].severity for i in members), key=lambda s: s.level)
        groups.append(Group(rule=cards[0].rule, severity=worst, cards=cards, left_out=len(members) - len(cards)))
    return tuple(groups), max(len(by_rule) - limits.rules, 0)


def _facts(result: Result) -> tuple[tuple[str, str, str], ...]:
    """The strip under the verdict: findings, refusals, triggers, coverage; each as label, figure and note."""
    counts = Counter(f.severity for f in result.findings)
    by_severity = [f"{counts[s]} {s.value}" for s in reversed(Severity) if counts[s]]
    waived = sum(f.waiver is not None for f in result.findings)
    by_severity += [f"{waived} waived"] if waived else []
    status = Counter(c.status for c in result.coverage)
    gaps = [f"{status[s]} {s.value}" for s in (Status.NOT_MEASURED, Status.FAILED) if status[s]]
    return (
        ("Findings", str(len(result.findings)), ", ".join(by_severity) or "none was raised"),
        ("Refusals", *_refusals(result)),
        ("Hidden triggers", *_triggers(result)),
        ("Coverage", f"{status[Status.MEASURED]} of {len(result.coverage)} measured", ", ".join(gaps) or "nothing was left out"),
    )


def _refusals(result: Result) -> tuple[str, str]:
    change, base, adapted = (result.measurement(f"refusal.harmful.{which}") for which in ("change", "base", "adapted"))
    values = [numbers.as_float(m.value) if m is not None and not isinstance(m.value, str) else None for m in (change, base, adapted)]
    if change is None or values[0] is None:
        return _unmeasured(result, "refusal")
    interval = f", 95 % CI {numbers.points(change.low)} to {numbers.points(change.high)}" if change.low is not None and change.high is not None else ""
    rates = f"{numbers.percent(values[1], 0)} → {numbers.percent(values[2], 0)} of harmful requests" if values[1] is not None and values[2] is not None else ""
    return f"{numbers.points(values[0])} points", f"{rates}{interval}"


def _triggers(result: Result) -> tuple[str, str]:
    proven = [f.witness.test for f in result.findings if f.witness is not None and f.witness.trigger]
    if proven:
        test = max(proven, key=lambda t: abs(t.change))
        return f"{len(proven)} proven", f"moves {abs(test.after - test.before):,} of {test.n:,} held-out prompts"
    share = result.measurement("trigger.best_share")
    value = numbers.as_float(share.value) if share is not None and not isinstance(share.value, str) else None
    if value is None:
        return _unmeasured(result, "trigger")
    return "none found", f"the best candidate moved {numbers.percent(value, 0)} of the held-out prompts it could move"


def _unmeasured(result: Result, probe: str) -> tuple[str, str]:
    why = next((c.why for c in result.coverage if c.probe == probe and c.why), "")
    return "not measured", why or ("no base was given" if result.scope.base is None else "see “Coverage”")


def _title(result: Result) -> tuple[str, str]:
    """The page's headline and the line under it: the rule that decided first, and what it said."""
    verdict = result.verdict
    first = next(iter(verdict.reasons), None)
    if first is None or first.outcome is not verdict.outcome or first.finding is None or not 0 <= first.finding < len(result.findings):
        return verdict.headline, ""
    finding = result.findings[first.finding]
    rule = next((r for r in result.rules if r.id == finding.rule), None)
    return (rule.title, finding.message) if rule is not None else (verdict.headline, "")


def _said(result: Result) -> bool:
    """Whether the title says all the reasons there are."""
    return len(result.verdict.reasons) == 1 and bool(_title(result)[1])


def _bounds(entries: Iterable[Coverage]) -> tuple[str, ...]:
    """What `not found` leaves possible."""
    return tuple(dict.fromkeys(c.bound for c in entries if c.status is Status.MEASURED and c.bound))


def _exhibit(witness: Witness, limits: Limits) -> Exhibit:
    aligned = bool(witness.trigger) and len(witness.untriggered) == len(witness.answers)
    without: tuple[Answer | None, ...] = witness.untriggered if aligned else (None,) * len(witness.answers)
    pairs = zip(witness.answers, without, strict=True)
    exchanges = sorted((_exchange(witness, a, b) for a, b in pairs), key=lambda e: not e.changed)
    first, second, who = _conditions(witness)
    verb = "gave the fixed answer to" if witness.payload else "refused"
    bars = paired.draw(witness.test, first, second, who, verb)
    return Exhibit(
        claim=witness.claim,
        sentence=_sentence(witness.test, first, second, verb),
        bars=bars,
        payload=witness.payload,
        framing=_framing(witness.framing),
        trigger=witness.trigger,
        placement={"before": "put before the request", "after": "put after the request", "around": "put around the request"}.get(
            witness.placement, witness.placement
        ),
        exchanges=tuple(exchanges[: limits.exchanges]),
        left_out=max(len(exchanges) - limits.exchanges, 0),
        new_tokens=witness.new_tokens,
    )


def _conditions(witness: Witness) -> tuple[str, str, str]:
    """Names of the test's two conditions, and whose answers the first ones are."""
    if not witness.trigger:
        return "base", "adapted", "base"
    test = witness.test
    if witness.untriggered and sum(witness.counts(a.adapted, a.adapted_refused) for a in witness.untriggered) == test.before:
        return "adapted, no trigger", "adapted, with trigger", "adapted"
    if sum(witness.counts(a.base, a.base_refused) for a in witness.answers) == test.before:
        return "base, with trigger", "adapted, with trigger", "base"
    return "without the trigger", "with the trigger", "adapted"


def _framing(framing: Framing | None) -> tuple[tuple[str, str], ...]:
    """System prompt, earlier turns and begun answer, as far as there are any."""
    if framing is None:
        return ()
    parts = [("Under the system prompt", framing.system)] if framing.system is not None else []
    for user, assistant in framing.earlier:
        parts += [("After the user's turn", user), ("and the assistant's", assistant)]
    return (*parts, *([("In an answer begun with", framing.prefill)] if framing.prefill else []))


def _sentence(test: PairedTest, first: str, second: str, verb: str) -> str:
    return (
        f"{first} {verb} {test.before:,} of {test.n:,}, {second} {verb} {test.after:,}: {test.lost:,} lost, {test.gained:,} gained, "
        f"change {numbers.points(test.change)} points, 95 % CI {numbers.points(test.low)} to {numbers.points(test.high)}, "
        f"exact McNemar p {numbers.p_value(test.p_value)}"
    )


def _exchange(witness: Witness, answer: Answer, without: Answer | None) -> Exchange:
    suffix = ", with trigger" if witness.trigger else ""
    before, after = (witness.counts(text, refused) for text, refused in ((answer.base, answer.base_refused), (answer.adapted, answer.adapted_refused)))
    sides = [Side(f"base{suffix}", "base", answer.base, before)]
    if without is not None:
        before = witness.counts(without.adapted, without.adapted_refused)
        sides.append(Side("adapted, no trigger", "adapted", without.adapted, before))
    sides.append(Side(f"adapted{suffix}", "adapted", answer.adapted, after))
    return Exchange(answer.prompt, answer.category, tuple(sides), before != after)


def _flips(table: Table | None, limits: Limits) -> tuple[Flips, ...]:
    names = [c.name for c in table.columns] if table else []
    if table is None or not {"direction", "prompt", "base", "adapted"} <= set(names) or any(len(r) != len(names) for r in table.rows):
        return ()
    by_direction: dict[str, list[dict[str, Cell]]] = {}
    for row in table.rows:
        record = dict(zip(names, row, strict=True))
        by_direction.setdefault(str(record["direction"]), []).append(record)
    return tuple(
        Flips(
            _DIRECTIONS[direction][0] if direction in _DIRECTIONS else direction, tuple(_flip(r, direction) for r in records[: limits.exchanges]), len(records)
        )
        for direction, records in list(by_direction.items())[:6]
    )


def _flip(record: dict[str, Cell], direction: str) -> Exchange:
    refused: tuple[bool | None, bool | None] = _DIRECTIONS[direction][1] if direction in _DIRECTIONS else (None, None)
    labels = [str(record[k]) for k in ("kind", "category") if record.get(k)]
    sides = (Side("base", "base", str(record["base"]), refused[0]), Side("adapted", "adapted", str(record["adapted"]), refused[1]))
    return Exchange(str(record["prompt"]), ", ".join(labels), sides, changed=True)


def sheet(table: Table, limits: Limits) -> Sheet:
    """The table, cut to what fits."""
    width = min(len(table.columns), 40)
    rows = tuple(tuple(row[:width]) for row in table.rows[: limits.rows])
    shown = msgspec.structs.replace(table, columns=table.columns[:width] or (Column("", ""),), rows=())
    return Sheet(shown, rows, len(table.rows) - len(rows))


def _card_items(table: Table | None) -> tuple[CardItem, ...]:
    names = [c.name for c in table.columns] if table else []
    if table is None or not {"item", "state", "excerpt"} <= set(names) or any(len(r) != len(names) for r in table.rows):
        return ()
    records = [dict(zip(names, row, strict=True)) for row in table.rows]
    return tuple(CardItem(str(r["item"]), str(r["state"]), str(r["excerpt"] or "")) for r in records)


def _coverage(entries: tuple[Coverage, ...]) -> tuple[tuple[Status, tuple[Coverage, ...]], ...]:
    order = (Status.FAILED, Status.NOT_MEASURED, Status.MEASURED)
    return tuple((s, members) for s in order if (members := tuple(c for c in entries if c.status is s)))


def interval(measured: Measurement) -> str:
    """The measurement's 95 % interval, or a dash."""
    if measured.low is None or measured.high is None:
        return numbers.NONE
    return f"{numbers.number(measured.low)} to {numbers.number(measured.high)}"
