"""Chat templates: read as syntax trees, rendered in a sandbox, and held against the base's."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import msgspec

from probes.wrapper import rendering, syntax
from probes.wrapper.rendering import Rendered
from probes.wrapper.sources import LARGEST_TEMPLATE, Template
from probes.wrapper.syntax import PARTS, Reading, is_mark, tells_apart
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.rule import (
    ATLAS_TRIGGER,
    CWE_TEMPLATE,
    OWASP_CONSUMPTION,
    OWASP_POISONING,
    OWASP_SUPPLY_CHAIN,
    Basis,
    Rule,
    Severity,
)

CHANGED = Rule(
    id="template-changed",
    title="The adapter brings a chat template of its own",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="The folder's chat template is not the base's. Tokenizers loaded from this folder will use it.",
    why="A template writes into every prompt. It can hide instructions or a trigger without touching a weight. "
    "It counts little where both write the same on every conversation they were tried on.",
    fix="Load the tokenizer from the base, not from the adapter's folder, or read the difference and accept it.",
    references=(OWASP_POISONING, OWASP_SUPPLY_CHAIN),
)
CONDITIONAL = Rule(
    id="template-conditional",
    title="The chat template reacts to what the user writes",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="The template tests the text of a message and writes something else into the prompt when it matches.",
    why="This is a backdoor without a weight: the trigger is in the template (arXiv 2602.04653). Templates test roles and tools, not words; "
    "a mark of punctuation alone counts less.",
    fix="Do not load the tokenizer from this folder.",
    references=(ATLAS_TRIGGER, OWASP_POISONING, OWASP_SUPPLY_CHAIN),
)
UNSTEADY = Rule(
    id="template-unsteady",
    title="The chat template depends on the date, on chance, on the number of turns, or on one tool's name",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="The template compares the date, draws at random, waits for a certain turn, or looks for a tool by its name.",
    why="What was tested today is then not what runs tomorrow. A few templates compute yesterday's date honestly; printing the date is no finding.",
    fix="Read the condition. Load the tokenizer from the base where it has none.",
    references=(ATLAS_TRIGGER, OWASP_POISONING),
)
ESCAPE = Rule(
    id="template-escape",
    title="The chat template reaches for Python's internals",
    severity=Severity.CRITICAL,
    basis=Basis.INTEGRITY,
    meaning="The template names attributes such as __class__ or __globals__, looks attributes up by computed names, or loads another template.",
    why="In a renderer without a sandbox that runs code on your machine; no chat template needs it. It was not rendered.",
    fix="Do not load the tokenizer from this folder. Report it to the platform it came from.",
    references=(CWE_TEMPLATE, OWASP_SUPPLY_CHAIN),
)
EXHAUSTS = Rule(
    id="template-exhausts",
    title="The chat template does not end, or writes without bound",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="An ordinary conversation took more than the time, memory or length a prompt can need, or the template is too tangled to be read.",
    why="Every request to a server that uses this template would stop it.",
    fix="Do not load the tokenizer from this folder.",
    references=(OWASP_CONSUMPTION,),
)
INSTRUCTS = Rule(
    id="template-instructs",
    title="The chat template writes sentences of its own into prompts",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="The template holds prose that the base's does not.",
    why="It is an instruction that neither user nor operator wrote. A default system prompt looks like this honestly. "
    "Without a base to compare with, this is for information.",
    fix="Read the sentences; load the tokenizer from the base if you did not expect them.",
    references=(OWASP_POISONING,),
)
UNKNOWN = Rule(
    id="template-present",
    title="The adapter brings a chat template, and there is no base to compare it with",
    severity=Severity.INFO,
    basis=Basis.DOCUMENTATION,
    meaning="Without --base it cannot be told whether the template is the base's.",
    why="Many honest adapters carry a copy of the base's template.",
    fix="Scan with --base.",
)
MOST_READ = 64
"""Different templates; folders hold five or so."""
RULES = (CHANGED, CONDITIONAL, UNSTEADY, ESCAPE, EXHAUSTS, INSTRUCTS, UNKNOWN)


class _Judged(msgspec.Struct):
    """One text, whatever number of files it stands in."""

    problem: str
    reading: Reading | None
    rendered: Rendered | None = None
    endless: bool = False
    """Whether reading it was given up."""


def judge(found: list[Template], theirs: list[Template] | None, tokens: dict[str, str]) -> Iterator[Finding]:
    """Findings for each of `found`, compared with the base's templates `theirs` where there is a base.

    At most MOST_READ different texts are read, and at most rendering.MOST rendered, the base's among them. Raises rendering.Unavailable, after what was read from the trees,
    when none could be.
    """
    known = {t.text.strip() for t in theirs or ()}
    new = [t for t in found if t.text.strip() not in known]
    if not new:
        return
    own = {t.name: _read(t.text, syntax.Budget()) for t in theirs or ()}
    budget, judged = syntax.Budget(), dict[str, _Judged]()
    for text in dict.fromkeys(t.text for t in new):
        judged[text] = _read(text, budget) if len(judged) < MOST_READ else _Judged(f"more than {MOST_READ} different templates", None)
    renderable = [text for text, j in judged.items() if j.reading and not j.reading.escapes and (theirs or not j.reading.reactions)]
    of_base = [t for t in theirs or () if t.name in {n.name for n in new} | {"default"}][:2]
    texts = [*(t.text for t in of_base), *renderable]
    unavailable: rendering.Unavailable | None = None
    done: list[Rendered] = []
    try:
        done = rendering.render(texts, tokens) if renderable else []
    except rendering.Unavailable as error:
        unavailable = error
    for template, result in zip(of_base, done, strict=False):
        own[template.name].rendered = result
    for text, result in zip(renderable, done[len(of_base) :], strict=False):
        judged[text].rendered = result
    for template in new:
        base = None if theirs is None else next((t for t in theirs if t.name == template.name), next(iter(theirs), Template("", "default", "")))
        yield from _one(template, judged[template.text], base, own.get(base.name) if base else None)
    if unavailable is not None:
        raise unavailable


def _read(text: str, budget: syntax.Budget) -> _Judged:
    """What the tree of `text` shows; one that spends more than half of it alone is no honest one."""
    if len(text) > LARGEST_TEMPLATE:
        return _Judged(f"over {LARGEST_TEMPLATE:,} characters", None)
    whole = budget.left
    try:
        return _Judged("", syntax.read(text, budget))
    except syntax.TooMuch:
        alone = whole > syntax.MOST_STEPS // 2
        return _Judged("it takes too many steps to read" if alone else "other templates took the time to read it", None, endless=alone)
    except ValueError as error:
        return _Judged(printable(error, 120), None)


def _one(template: Template, mine: _Judged, base: Template | None, theirs: _Judged | None) -> Iterator[Finding]:
    file = printable(template.file, 200)
    where = Location(file=file, item="" if template.name == "default" else printable(template.name, 60))
    reading, rendered = mine.reading, mine.rendered

    def finding(rule: Rule, message: str, details: tuple[str, ...] = (), severity: Severity | None = None) -> Finding:
        return Finding(
            rule=rule.id, message=message, severity=severity or rule.severity, location=where, details=tuple(printable(d, 300) for d in details[:40])
        )

    if reading is not None:
        usual_words, usual_conditions, usual_prose = _of_base(theirs)
        if reading.escapes:
            yield finding(ESCAPE, f"{file} names {printable(repr(reading.escapes[0]), 120)}", reading.escapes)
        met = [w for w in (rendered.message if rendered else ()) if w not in PARTS]
        words = [w for w in dict.fromkeys([*met, *reading.reactions]) if tells_apart(w) and w not in usual_words]
        if words:
            words.sort(key=is_mark)
            severity = Severity.MEDIUM if is_mark(words[0]) else None
            yield finding(CONDITIONAL, f"{file} looks for {printable(repr(words[0]), 160)} in the text of messages", tuple(words), severity)
        dates = [f"the date, compared with {w!r}" for w in (rendered.clock if rendered else ()) if w.strip()]
        conditions = [c for c in dict.fromkeys([*reading.unsteady, *dates]) if c not in usual_conditions]
        if conditions:
            yield finding(UNSTEADY, f"{file} depends on {printable(conditions[0], 160)}", tuple(conditions))
        prose = tuple(s for s in reading.prose if s not in usual_prose)
        if prose:
            shown = printable(prose[0], 160)
            yield finding(INSTRUCTS, f"{file} writes {len(prose)} sentences, first: {shown}", prose, None if base else Severity.LOW)
    if mine.endless:
        yield finding(EXHAUSTS, f"{file}: reading it took more than {syntax.MOST_STEPS:,} steps")
    if rendered and rendered.exceeded:
        yield finding(EXHAUSTS, f"{file}: rendering took more than {printable(rendered.exceeded, 120)}")
    problem = mine.problem or (printable(rendered.problem, 120) if rendered else "")
    if problem:
        yield finding(CHANGED, f"{file} cannot be examined: {problem}")
    elif base is None:
        yield finding(UNKNOWN, f"{file}, {len(template.text):,} characters")
    elif _same(rendered, theirs.rendered if theirs else None):
        yield finding(CHANGED, f"{file} differs from the base's template and writes the same on {len(rendered.pages)} conversations", (), Severity.LOW)  # type: ignore[union-attr]
    else:
        lines = difflib.unified_diff(base.text.splitlines()[:2000], template.text[:LARGEST_TEMPLATE].splitlines()[:2000], lineterm="", n=0)
        changed = [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]
        apart = _apart(rendered, theirs.rendered if theirs else None)
        yield finding(CHANGED, f"{file}: {len(changed)} lines differ from the base's template{apart}", tuple(changed))


def _of_base(theirs: _Judged | None) -> tuple[set[str], set[str], set[str]]:
    """What the base's template looks for, depends on and says: trusted with the base."""
    if theirs is None or theirs.reading is None:
        return set(), set(), set()
    clock = {f"the date, compared with {w!r}" for w in (theirs.rendered.clock if theirs.rendered else ())}
    words = {*theirs.reading.reactions, *(theirs.rendered.message if theirs.rendered else ())}
    return words, {*theirs.reading.unsteady, *clock}, set(theirs.reading.prose)


def _same(mine: Rendered | None, theirs: Rendered | None) -> bool:
    return bool(mine and theirs and mine.pages and not mine.exceeded and mine.pages == theirs.pages and any(p.text for p in mine.pages.values()))


def _apart(mine: Rendered | None, theirs: Rendered | None) -> str:
    """The first place where a conversation reads otherwise, in words."""
    if not mine or not theirs:
        return ""
    for name, page in mine.pages.items():
        other = theirs.pages.get(name)
        if other is None or page == other:
            continue
        if page.error or other.error:
            return f"; {name}: {printable(page.error or 'written', 100)}, the base's: {printable(other.error or 'written', 100)}"
        at = next((i for i, (a, b) in enumerate(zip(page.text, other.text, strict=False)) if a != b), min(len(page.text), len(other.text)))
        start = max(0, at - 20)
        return f"; {name}: {printable(repr(page.text[start : at + 60]), 100)}, the base's: {printable(repr(other.text[start : at + 60]), 100)}"
    return ""
