"""The model card against what a responsible release documents, and against the configuration and the tensors."""

from __future__ import annotations

import re
from collections.abc import Iterator

from scanner.files.card import Card
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.measurement import Column, Coverage, Measurement, Status, Table
from scanner.probe import Need, Yield
from scanner.rule import NIST_MODEL_CARDS, OWASP_SUPPLY_CHAIN, Basis, Rule, Severity
from scanner.subject import Subject

FILE = "README.md"
ITEMS: tuple[tuple[str, tuple[str, ...], tuple[str, ...], str], ...] = (
    ("base model", ("base_model",), ("base model",), r"(?i)base model|finetuned from|fine-tuned from"),
    ("base model's licence", (), ("base licen",), r"(?i)base (?:model'?s? )?licen[cs]e"),
    ("training data", ("datasets",), ("training data", "dataset"), r"(?i)trained on|training data"),
    ("training method", (), ("training procedure", "training", "method", "hyperparameter"), r"(?i)learning rate|epochs|steps|\bsft\b|\bdpo\b"),
    ("target modules", (), ("target modules",), r"(?i)target[_ ]modules|q_proj|all[- ]linear"),
    ("rank", (), ("rank",), r"(?i)\brank\b\W{0,4}\d|\br\s*=\s*\d"),
    ("intended use", (), ("use", "uses"), r"(?i)intended (?:use|for)"),
    ("evaluation", ("model-index",), ("evaluation", "results"), r"(?i)evaluated|benchmark|accuracy"),
    ("limitations", (), ("limitation", "bias", "risk"), r"(?i)limitation|not suitable"),
    ("adapter's licence", ("license",), ("license", "licence"), r"(?i)^\W*licen[cs]e\W*:"),
)
"""Item, front matter keys, words of section headings, and a pattern for the text of any section."""

MISSING = Rule(
    id="card-missing",
    title="There is no model card",
    severity=Severity.LOW,
    basis=Basis.DOCUMENTATION,
    meaning="The folder holds no README.md.",
    why="Nobody says what this adapter is for, what it was trained on, or what it must not be used for. Most small uploads have none.",
    fix="Ask the author for a card before relying on the adapter.",
    references=(NIST_MODEL_CARDS,),
)
INCOMPLETE = Rule(
    id="card-incomplete",
    title="The model card leaves out what a release documents",
    severity=Severity.LOW,
    basis=Basis.DOCUMENTATION,
    meaning="Items are missing, or still the empty template.",
    why="Undocumented training data and limits cannot be reviewed.",
    fix="Ask the author to fill the card.",
    references=(NIST_MODEL_CARDS,),
)
CONTRADICTION = Rule(
    id="card-contradiction",
    title="The model card contradicts the files",
    severity=Severity.MEDIUM,
    basis=Basis.DOCUMENTATION,
    meaning="The card states a base model, a rank, an alpha or a method other than that of the configuration and the tensors.",
    why="The card belongs to another adapter, or the adapter was replaced after the card was written.",
    fix="Ask the author which is right.",
    references=(NIST_MODEL_CARDS, OWASP_SUPPLY_CHAIN),
)


class CardProbe:
    """Ten items of documentation, each present, empty template, or missing; and contradictions."""

    id = "card"
    title = "Model card"
    needs = Need.DELTA
    cost = "one read of README.md, at most 512 KiB"
    rules = (MISSING, INCOMPLETE, CONTRADICTION)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Grade the card."""
        card = subject.adapter.card
        rows = tuple((item, *_state(card, keys, words, pattern)) for item, keys, words, pattern in ITEMS)
        yield Table(id="card.items", title="Model card", columns=(Column("item", "item"), Column("state", "state"), Column("excerpt", "excerpt")), rows=rows)
        present = sum(state == "present" for _, state, _ in rows)
        yield Measurement(id="card.items_present", title="Documentation items present", value=present, n=len(rows))
        where = Location(file=FILE)
        if card is None:
            yield Finding(rule=MISSING.id, message="no README.md", severity=MISSING.severity, location=where)
        elif present < len(rows):
            gaps = [f"{item} ({'empty template' if state == 'template' else state})" for item, state, _ in rows if state != "present"]
            yield Finding(
                rule=INCOMPLETE.id, message=f"{len(gaps)} of {len(rows)} items: {', '.join(gaps[:4])}{' …' if len(gaps) > 4 else ''}",
                severity=INCOMPLETE.severity, location=where, details=tuple(gaps),
            )  # fmt: skip
        if card is not None:
            yield from _contradictions(card, subject)
        yield Coverage(
            probe=self.id, what="model card", status=Status.MEASURED, surface=f"{len(rows)} items",
            bound="a card is the uploader's word; only contradictions with the files are checked",
        )  # fmt: skip


def _state(card: Card | None, keys: tuple[str, ...], words: tuple[str, ...], pattern: str) -> tuple[str, str]:
    if card is None:
        return "missing", ""
    for key in keys:
        if card.front_matter.get(key):
            return "present", printable(card.front_matter[key], 120)
    section = card.text(*words)
    if section:
        return "present", printable(section, 120)
    for other in card.sections:
        for line in other.text.splitlines():
            if not re.search(r"(?i)more information needed", line[:2000]) and re.search(pattern, line[:2000]):
                return "present", printable(line, 120)
    return ("template" if section is not None else "missing"), ""


def _contradictions(card: Card, subject: Subject) -> Iterator[Finding]:
    config = subject.adapter.config
    claims: list[tuple[str, str, str]] = []
    named = card.front_matter.get("base_model")
    declared = config.base_model_name_or_path or ""
    names = [n for n in (named if isinstance(named, list) else [named]) if isinstance(n, str)]
    if names and declared and all(_tail(n) != _tail(declared) for n in names):
        claims.append(("base model", printable(names[0], 120), f"{printable(declared, 120)} in adapter_config.json"))
    ranks = {m.rank for m in subject.delta.modules}
    text = "\n".join(s.text for s in card.sections)
    for label, pattern, actual in (
        ("rank", r"(?i)\b(?:lora[ _-]?)?(?:rank|r)\b\s*[:=|`*]+\s*`?(\d{1,4})\b", {float(r) for r in ranks}),
        ("alpha", r"(?i)\b(?:lora[ _-]?)?alpha\b\s*[:=|`*]+\s*`?(\d{1,5})\b", {float(config.lora_alpha)}),
    ):
        stated = {float(v) for v in re.findall(pattern, text)}
        if stated and actual and not stated & actual and not (config.rank_pattern or config.alpha_pattern):
            claims.append((label, f"{min(stated):g}", f"{', '.join(f'{a:g}' for a in sorted(actual))} in the files"))
    for what, said, real in claims:
        yield Finding(
            rule=CONTRADICTION.id,
            message=f"{what}: the card says {said}, it is {real}",
            severity=CONTRADICTION.severity,
            location=Location(file=FILE, item=what),
        )


def _tail(name: str) -> str:
    return re.split(r"[\\/]", name.rstrip("/\\"))[-1].lower()
