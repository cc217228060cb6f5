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

TASKS: dict[str, set[str]] = {
    "CAUSAL_LM": {"text-generation", "image-text-to-text", "conversational", "text2text-generation", "question-answering", "summarization", "translation"},
    "SEQ_2_SEQ_LM": {"text2text-generation", "summarization", "translation", "automatic-speech-recognition", "question-answering", "text-generation"},
    "SEQ_CLS": {"text-classification", "zero-shot-classification", "text-ranking", "sentence-similarity"},
    "TOKEN_CLS": {"token-classification"},
    "QUESTION_ANS": {"question-answering"},
}
"""The Hub's pipeline tags that fit PEFT's task types."""
TAGS = set().union(*TASKS.values()) | {"text-to-image", "image-classification", "feature-extraction"}
_RANK = re.compile(r"(?i)\b(?:lora[ _-]?)?(?:rank|r)\b\s*[:=|`*]+\s*`?(\d{1,4})\b")
_ALPHA = re.compile(r"(?i)\b(?:lora[ _-]?)?alpha\b\s*[:=|`*]+\s*`?(\d{1,5})\b")
_PARAMETERS = re.compile(r"(?i)\btrainable param(?:eter)?s\b\W{1,6}(\d[\d,_]{3,16})\b")
_TARGETS = re.compile(r"(?i)target[ _]modules?\b((?:.|\n){1,400})")
_NAME = re.compile(r"\b[A-Za-z][A-Za-z0-9_]{1,40}\b")
_CONTEST = re.compile(r"(?i)leaderboard|ranked|ranking|position|ndcg|\bmrr\b|\bplace\b")

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
    meaning="The card states a base model, a rank, an alpha, a method, target modules or a number of parameters other than that of the configuration and the tensors.",
    why="The card belongs to another adapter, or the adapter was replaced after the card was written. Another task in the front matter counts little.",
    fix="Ask the author which is right.",
    references=(NIST_MODEL_CARDS, OWASP_SUPPLY_CHAIN),
)
UNREADABLE = Rule(
    id="card-unreadable",
    title="The model card's front matter cannot be read",
    severity=Severity.LOW,
    basis=Basis.DOCUMENTATION,
    meaning="What stands between the dashes at the top of README.md is no plain YAML fields: it does not end, or uses aliases, objects or values that YAML has not.",
    why="Base, licence and data are declared there, and none of it was taken. Hubs and tools that read it with another parser may take something.",
    fix="Ask the author for plain fields, each with a text or a list.",
    references=(NIST_MODEL_CARDS,),
)


class CardProbe:
    """Ten items of documentation, each present, empty template, or missing; and contradictions."""

    id = "card"
    title = "Model card"
    needs = Need.DELTA
    cost = "one read of README.md, at most 512 KiB"
    rules = (MISSING, INCOMPLETE, CONTRADICTION, UNREADABLE)

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
        elif card.problem:
            yield Finding(rule=UNREADABLE.id, message=f"the front matter cannot be read: {card.problem}", severity=UNREADABLE.severity, location=where)
        if card is not None and present < len(rows):
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
    text = "\n".join(s.text for s in card.sections)
    claims = [*_base(card, subject), *_sizes(text, subject), *_modules(text, subject)]
    tags = {t.lower() for t in card.declared("tags", 100)}
    for tag, really in (("dora", config.use_dora), ("rslora", config.use_rslora)):
        if tag in tags and config.peft_type.upper() == "LORA" and not really:
            claims.append(("method", tag, f"{config.peft_type} without it"))
    for what, said, real in claims:
        yield Finding(
            rule=CONTRADICTION.id,
            message=f"{what}: the card says {said}, it is {real}",
            severity=CONTRADICTION.severity,
            location=Location(file=FILE, item=what),
        )
    tag = next(iter(card.declared("pipeline_tag")), "")
    fitting = TASKS.get(str(config.task_type).upper())
    if fitting and tag in TAGS and tag not in fitting:
        yield Finding(
            rule=CONTRADICTION.id,
            message=f"task: the card says {tag}, the configuration {printable(config.task_type, 40)}",
            severity=Severity.LOW,
            location=Location(file=FILE, item="task"),
        )


def _base(card: Card, subject: Subject) -> Iterator[tuple[str, str, str]]:
    names = card.declared("base_model")
    declared = subject.adapter.config.base_model_name_or_path or ""
    if names and declared and all(_tail(n) != _tail(declared) for n in names):
        yield "base model", printable(names[0], 120), f"{printable(declared, 120)} in adapter_config.json"
    elif names and not declared and subject.base is not None:
        known = {_tail(n) for n in (subject.base.name, *subject.base.origin, str(subject.base.config.get("_name_or_path", ""))) if n}
        if not known & {_tail(n) for n in names}:
            yield "base model", printable(names[0], 120), f"scanned on {printable(subject.base.name, 120)}"


def _sizes(text: str, subject: Subject) -> Iterator[tuple[str, str, str]]:
    """Rank, alpha and number of parameters, where the card writes a number beside the word."""
    config, modules = subject.adapter.config, subject.delta.modules
    plain = "\n".join(line for line in text.split("\n") if not _CONTEST.search(line[:2000]))
    alphas = {float(config.lora_alpha)} if config.peft_type == "LORA" else set[float]()
    for label, pattern, actual in (("rank", _RANK, {float(m.rank) for m in modules}), ("alpha", _ALPHA, alphas)):
        stated = {float(v) for v in pattern.findall(plain)}
        if stated and actual and not stated & actual and not (config.rank_pattern or config.alpha_pattern):
            yield label, f"{min(stated):g}", f"{', '.join(f'{a:g}' for a in sorted(actual))} in the files"
    numbers = [int(n.replace(",", "").replace("_", "")) for n in _PARAMETERS.findall(plain)[:20]]
    counted = {sum(t.count for t in subject.adapter.weights.tensors.values()), subject.delta.elements}
    if numbers and subject.delta.changes and not any(abs(n - c) <= 0.02 * c for n in numbers for c in counted):
        yield "trainable parameters", f"{numbers[0]:,}", f"{max(counted):,} in the files"


def _modules(text: str, subject: Subject) -> Iterator[tuple[str, str, str]]:
    """Target modules, where the card lists them and the files change others."""
    actual = {m.module.rsplit(".", 1)[-1] for m in subject.delta.changes}
    for match in _TARGETS.finditer(text):
        listed = match[1].split("\n\n")[0].split("\n#")[0]
        stated = {name for name in _NAME.findall(listed) if "_" in name or name in actual}
        if stated and actual and not re.search(r"(?i)\ball\b|linear|every", listed):
            more = sorted(actual - stated)
            if more:
                yield "target modules", printable(", ".join(sorted(stated)[:12]), 160), f"{printable(', '.join(more[:12]), 160)} too"
            return


def _tail(name: str) -> str:
    return re.split(r"[\\/]", name.rstrip("/\\"))[-1].lower()
