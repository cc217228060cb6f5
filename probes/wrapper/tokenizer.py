"""The tokenizer: what its tokens stand for, and what it does to text before the model reads it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from probes.config.base import leads_away
from probes.config.patterns import LONGEST, can_hang
from probes.wrapper.sources import head, settings, settings_and_repeats
from probes.wrapper.steps import losses, plain, rewrites
from scanner.files.strict_json import BadJson, load_object
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.rule import (
    ATLAS_MASQUERADING,
    ATLAS_TRIGGER,
    CWE_INTERPRETATION,
    CWE_REGEX,
    CWE_TRAVERSAL,
    CWE_UNTRUSTED_INCLUDE,
    OWASP_CONSUMPTION,
    OWASP_POISONING,
    OWASP_SUPPLY_CHAIN,
    Basis,
    Rule,
    Severity,
)

FILE = "tokenizer.json"
LARGEST = 64 * 1024 * 1024
OTHER_FILES = ("vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tekken.json")
"""What older or other tokenizers are made of: compared byte for byte."""
SETTINGS_FILES = ("tokenizer_config.json", "special_tokens_map.json", "processor_config.json", "preprocessor_config.json", "added_tokens.json", "vocab.json")
FILES = {FILE, *OTHER_FILES, *SETTINGS_FILES}
_VERSION = re.compile(r"tokenizer\.(.*)\.json")
"""Names of tokenizers for one version of transformers and later ones, as transformers looks for them."""
MOST_SHOWN = 40
FEW = 0.05
"""A tokenizer with at most this share of its tokens moved was edited; with more, it is another one."""
SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
MORE_SPECIAL = ("additional_special_tokens", "extra_special_tokens", "model_specific_special_tokens")
HARMLESS = {"pad_token", "unk_token", "mask_token"}
PLACES = ("name_or_path", "tokenizer_file", "vocab_file", "merges_file", "special_tokens_map_file", "tokenizer_name_or_path")
CODE = ("auto_map", "custom_pipelines")
HABITS = ("do_lower_case", "split_special_tokens", "add_prefix_space", "add_bos_token", "add_eos_token", "strip_accents")

CHANGED = Rule(
    id="tokenizer-changed",
    title="The adapter brings another tokenizer",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="The vocabulary, the added tokens, or the way text is split differ from the base's.",
    why="Remapped tokens change what the model reads; added tokens can be triggers. Fine-tunes with new special tokens look like this honestly; "
    "a padding token counts little.",
    fix="Load the tokenizer from the base, or ask for the reason of each token.",
    references=(ATLAS_MASQUERADING, OWASP_POISONING),
)
REMAPPED = Rule(
    id="tokenizer-remapped",
    title="Single tokens of the tokenizer were exchanged",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="Nearly all tokens are the base's, and a few stand for other numbers.",
    why="The model then reads one word where the user wrote another. Training never does this; an editor does.",
    fix="Do not load the tokenizer from this folder; use the base's.",
    references=(ATLAS_MASQUERADING, ATLAS_TRIGGER, OWASP_POISONING),
)
REWRITES = Rule(
    id="tokenizer-rewrites",
    title="The tokenizer rewrites words",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="A step of the tokenizer replaces, removes or adds words before the model reads them, or after it wrote them.",
    why="What the user wrote is then not what the model reads. Honest steps treat blanks, accents and quotation marks, not words. "
    "Cutting every text to a few tokens, or splitting words at random, counts less: a training script can leave that behind.",
    fix="Do not load the tokenizer from this folder; use the base's.",
    references=(ATLAS_TRIGGER, OWASP_POISONING),
)
CONFLICT = Rule(
    id="tokenizer-conflict",
    title="The tokenizer's files disagree",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="One number stands for two tokens, or two files give one token two numbers.",
    why="Which one counts depends on the loader. Hand-edited files look like this.",
    fix="Load the tokenizer from the base.",
    references=(ATLAS_MASQUERADING,),
)
SPECIALS = Rule(
    id="special-tokens-changed",
    title="Special tokens are not the base's",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="The token that begins or ends a text is another one than the base's, or a special token is an ordinary word.",
    why="Where a text ends decides what is cut off. Chat fine-tunes choose another end of turn, and padding, honestly.",
    fix="Take special tokens from the base.",
    references=(OWASP_POISONING,),
)
IMPORTS = Rule(
    id="wrapper-imports",
    title="A tokenizer or processor asks the loader to import code",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="auto_map names a Python class in a repository, to be run when remote code is trusted.",
    why="Whoever loads the tokenizer from this folder with trust_remote_code runs that code. PEFT itself never imports it, and adapters of bases with a tokenizer "
    "of their own, such as ChatGLM, carry such a copy honestly.",
    fix="Load the tokenizer from the base; never set trust_remote_code for this folder.",
    references=(CWE_UNTRUSTED_INCLUDE, OWASP_SUPPLY_CHAIN),
)
UNREADABLE = Rule(
    id="tokenizer-unreadable",
    title="A tokenizer that cannot be examined",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="tokenizer.json is not JSON, is nested too deep, writes a key twice, or has no vocabulary of numbers from 0 on.",
    why="What cannot be read here may be read by another library, and then decides what the model sees.",
    fix="Load the tokenizer from the base.",
    references=(ATLAS_MASQUERADING, CWE_INTERPRETATION),
)
SLOW = Rule(
    id="tokenizer-pattern",
    title="A pattern of the tokenizer that can take very long",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="A regular expression of the tokenizer repeats something that repeats, or repeats overlapping alternatives.",
    why="Its engine goes back and tries again, so that one prompt can hold a server up. Published tokenizers have no such pattern.",
    fix="Load the tokenizer from the base.",
    references=(CWE_REGEX, OWASP_CONSUMPTION),
)
PLACE = Rule(
    id="tokenizer-place",
    title="The tokenizer's settings name a place elsewhere",
    severity=Severity.LOW,
    basis=Basis.INTEGRITY,
    meaning="A field of tokenizer_config.json climbs out of the folder, names a system folder, or another computer.",
    why="Some loaders open what it names. Most ignore it; names of folders on the author's machine are common and are not told here.",
    fix="Load the tokenizer from the base.",
    references=(CWE_TRAVERSAL,),
)
RULES = (CHANGED, REMAPPED, REWRITES, CONFLICT, SPECIALS, IMPORTS, UNREADABLE, SLOW, PLACE)

_WORD = re.compile(r"[^\W\d_]{2,}")
_PROPERTY = re.compile(r"\\[pP]\{[^}]{1,40}\}|\\[pP][A-Z]")
_PADDING = re.compile(r"\W*(?:pad|padding|unk|mask|pad_token)\W*", re.IGNORECASE)
_CONTROL = re.compile(r"^\W.*\W$|^\W*$")


class Tokens(msgspec.Struct, frozen=True):
    """One tokenizer.json."""

    ids: dict[str, int]
    """Token to number, added tokens included."""
    added: dict[str, int]
    steps: dict[str, str]
    """What it does besides looking tokens up, by part, each written out in one form."""
    rewrites: tuple[str, ...]
    """Steps that replace, remove or add words."""
    conflicts: tuple[str, ...]
    slow: tuple[str, ...] = ()
    """Patterns that can take very long."""
    negative: tuple[str, ...] = ()
    """Tokens with a number below 0."""
    words: tuple[str, ...] = ()
    """Ordinary words of the vocabulary that are declared special, so that they vanish from what the model wrote."""
    losses: tuple[str, ...] = ()
    """Settings that leave hardly anything of a text, make it endlessly long, or split it at random."""


def is_tokenizer(name: str) -> bool:
    """Whether loaders of tokenizers read a file of this name."""
    return name in FILES or _VERSION.search(name) is not None


def compare(root: Path, paths: Iterable[str], base: Path | None) -> Iterator[Finding]:
    """Findings about the tokenizer files `paths`, all of one folder below `root`, against the base's folder where there is one."""
    present = {PurePosixPath(p).name: p for p in paths}
    mine = theirs = None
    if FILE in present and (base is None or not _equal(root / present[FILE], base / FILE)):
        theirs = _open(base / FILE) if base else None
        mine, problem = _opened(root / present[FILE])
        if problem:
            yield _finding(UNREADABLE, present[FILE], f"{FILE}: {problem}")
        yield from _tokenizer(present[FILE], mine, theirs, base is not None and (base / FILE).is_file() and not problem)
    elif base:
        for name in OTHER_FILES:
            if name in present and (base / name).is_file() and not _equal(root / present[name], base / name):
                yield _finding(CHANGED, present[name], f"{name} is not the base's")
    for name in sorted(n for n in present if n not in FILES):
        other, problem = _opened(root / present[name])
        if problem:
            yield _finding(UNREADABLE, present[name], f"{name}: {problem}")
        of_base = base / (name if (base / name).is_file() else FILE) if base else None
        if of_base is None or not _equal(root / present[name], of_base):
            yield from _tokenizer(present[name], other, _open(of_base) if of_base else None, False)
    yield from _settings(root, present, base, mine)


def _tokenizer(file: str, mine: Tokens | None, theirs: Tokens | None, expected: bool) -> Iterator[Finding]:
    if mine is None:
        if expected:
            yield _finding(CHANGED, file, f"{FILE} cannot be read as the base's can")
        return
    name = PurePosixPath(file).name
    rewritten = [r for r in mine.rewrites if theirs is None or r not in theirs.rewrites]
    if rewritten:
        yield _finding(REWRITES, file, f"{name}: {printable(rewritten[0], 200)}", rewritten)
    lost = [x for x in mine.losses if theirs is None or x not in theirs.losses]
    if lost:
        yield _finding(REWRITES, file, f"{name}: {printable(lost[0], 200)}", lost, Severity.MEDIUM)
    usual = set() if theirs is None else set(theirs.conflicts)
    conflicts = [c for c in mine.conflicts if c not in usual]
    if conflicts:
        yield _finding(CONFLICT, file, f"{name}: {printable(conflicts[0], 200)}", conflicts)
    words = [w for w in mine.words if theirs is None or w not in theirs.words]
    if words:
        yield _finding(SPECIALS, file, f"{name}: the ordinary word {printable(repr(words[0]), 60)} is declared a special token", words)
    if mine.negative:
        yield _finding(UNREADABLE, file, f"{name}: {printable(repr(mine.negative[0]), 80)} has a number below 0", mine.negative)
    slow = [p for p in mine.slow if theirs is None or p not in theirs.slow]
    if slow:
        yield _finding(SLOW, file, f"{name}: {printable(slow[0], 160)}", slow)
    if theirs is None:
        phrases = _phrases(mine.added)
        if phrases:
            yield _finding(CHANGED, file, f"the added token {printable(repr(phrases[0]), 80)} stands for several words", phrases)
        return
    moved = sorted(t for t in mine.ids.keys() & theirs.ids.keys() if mine.ids[t] != theirs.ids[t])
    added, gone = sorted(mine.ids.keys() - theirs.ids.keys()), sorted(theirs.ids.keys() - mine.ids.keys())
    if moved and len(moved) + len(gone) <= max(2, FEW * len(theirs.ids)) and not all(_CONTROL.match(t) for t in moved):
        shown = [f"{t}: {theirs.ids[t]}, now {mine.ids[t]}" for t in moved]
        yield _finding(REMAPPED, file, f"{len(moved)} of {len(theirs.ids):,} tokens were exchanged, first {printable(repr(moved[0]), 80)}", shown)
    elif moved or added or gone:
        only_padding = not moved and not gone and all(_PADDING.fullmatch(t) for t in added)
        kinds = (("added", added), ("remapped", moved), ("removed", gone))
        phrases = _phrases(added)
        more = f"; {printable(repr(phrases[0]), 80)} stands for several words" if phrases else ""
        yield _finding(
            CHANGED,
            file,
            f"{len(added)} tokens added, {len(moved)} remapped, {len(gone)} removed{more}",
            [f"{kind}: {t}" for kind, some in kinds for t in some[:15]],
            Severity.LOW if only_padding else None,
        )
    steps = [f"{name}: {mine.steps[name]}" for name in mine.steps if mine.steps[name] != theirs.steps.get(name)]
    if steps and not moved and not gone:
        yield _finding(CHANGED, file, f"text is prepared or split another way: {printable(steps[0], 120)}", steps)


def _phrases(tokens: Iterable[str]) -> list[str]:
    """Those of `tokens` that stand for several words of a text."""
    return [t for t in tokens if len(_WORD.findall(t)) > 1 and not _CONTROL.match(t)]


def _settings(root: Path, present: dict[str, str], base: Path | None, tokens: Tokens | None) -> Iterator[Finding]:
    read: dict[str, dict[str, Any]] = {}
    for name in SETTINGS_FILES:
        if name in present:
            try:
                read[name], twice = settings_and_repeats(root / present[name])
                if twice:
                    yield _finding(
                        CONFLICT, present[name], f"{name}: {printable(repr(twice[0]), 80)} is written twice, and which one counts depends on the loader"
                    )
            except BadJson as error:
                if name != "vocab.json":
                    yield _finding(CHANGED, present[name], f"{present[name]} cannot be examined: {printable(error, 160)}")
    for name, found in read.items():
        for field in CODE:
            if found.get(field) and name not in ("added_tokens.json", "vocab.json"):
                yield _finding(IMPORTS, present[name], f"{name}: {field} is {printable(found[field], 160)}")
    for field, value in sorted(read.get("tokenizer_config.json", {}).items()):
        if isinstance(value, str) and field in PLACES and leads_away(value):
            yield _finding(PLACE, present["tokenizer_config.json"], f"{field} is {printable(value, 160)}", item=field)
    yield from _disagreements(read, present, tokens)
    if tokens is None and base is not None and FILE not in present:
        yield from _renamed(read, present, base)
    usual = {name: _trusted(base / name) for name in ("tokenizer_config.json", "special_tokens_map.json")} if base else None
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        for field in SPECIAL:
            yield from _special(name, field, _text(read.get(name, {}).get(field)), present, usual, tokens)
        for field in MORE_SPECIAL:
            value = read.get(name, {}).get(field)
            for token in list(value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())[:MOST_SHOWN]:
                yield from _special(name, field, _text(token), present, None, tokens)
        if usual and name in read:
            differ = [f for f in HABITS if f in read[name] and f in usual[name] and read[name][f] != usual[name][f]]
            if differ:
                said = ", ".join(f"{f} is {printable(read[name][f], 40)}, the base's {printable(usual[name][f], 40)}" for f in differ)
                yield _finding(CHANGED, present[name], f"{name}: {said}", (), Severity.LOW)


def _special(name: str, field: str, value: str, present: dict[str, str], usual: dict[str, dict[str, Any]] | None, tokens: Tokens | None) -> Iterator[Finding]:
    if not value:
        return
    known = {_text(found.get(field)) for found in (usual or {}).values()} - {""}
    if value in known:
        return
    ordinary = not _CONTROL.match(value) and not _PADDING.fullmatch(value) and _WORD.fullmatch(value.strip("▁Ġ ")) is not None
    if ordinary and (tokens is None or value not in tokens.added):
        yield _finding(SPECIALS, present[name], f"{name}: {field} is the ordinary word {printable(repr(value), 60)}", item=field)
    elif known:
        message = f"{name}: {field} is {printable(repr(value), 60)}, the base's {printable(repr(min(known)), 60)}"
        yield _finding(SPECIALS, present[name], message, (), Severity.LOW, field)


def _claims(read: dict[str, dict[str, Any]]) -> list[tuple[str, str, int]]:
    """File, token and number of every token that is listed outside tokenizer.json."""
    decoder = read.get("tokenizer_config.json", {}).get("added_tokens_decoder")
    claims: list[tuple[str, str, int]] = []
    for number, token in decoder.items() if isinstance(decoder, dict) else ():
        if isinstance(token, dict) and isinstance(token.get("content"), str) and number.isdecimal() and len(number) < 10:
            claims.append(("tokenizer_config.json", token["content"], int(number)))
    for name in ("added_tokens.json", "vocab.json"):
        claims += [(name, token, number) for token, number in read.get(name, {}).items() if isinstance(number, int)]
    return claims


def _renamed(read: dict[str, dict[str, Any]], present: dict[str, str], base: Path) -> Iterator[Finding]:
    """Tokens that the folder lists otherwise than the base, where it brings no tokenizer.json of its own."""
    claims = _claims(read)
    theirs = _open(base / FILE) if claims else None
    if theirs is None:
        return
    by_number = {number: token for token, number in theirs.ids.items()}
    moved = [(f, t, n) for f, t, n in claims if by_number.get(n, t) != t or theirs.ids.get(t, n) != n]
    added = [(f, t, n) for f, t, n in claims if n not in by_number and t not in theirs.ids]
    if moved:
        file, token, number = moved[0]
        said = f"{printable(repr(token), 80)} is {number}, which is {printable(repr(by_number.get(number)), 80)} in the base"
        yield _finding(REMAPPED, present[file], f"{len(moved)} tokens, first {said}", [f"{t}: {n}" for _, t, n in moved])
    if added:
        harmless = all(_PADDING.fullmatch(t) for _, t, _ in added)
        message = f"{len(added)} tokens added, first {printable(repr(added[0][1]), 80)}"
        yield _finding(CHANGED, present[added[0][0]], message, [f"added: {t}" for _, t, _ in added], Severity.LOW if harmless else None)


def _disagreements(read: dict[str, dict[str, Any]], present: dict[str, str], tokens: Tokens | None) -> Iterator[Finding]:
    if tokens is None:
        return
    claims = _claims(read)
    by_number = {number: token for token, number in tokens.ids.items()}
    wrong = [
        (name, f"{token!r} is {number} in {name}, {tokens.ids.get(token, by_number.get(number))!r} in {FILE}")
        for name, token, number in claims
        if tokens.ids.get(token, number) != number or by_number.get(number, token) != token
    ]
    if wrong:
        name, first = wrong[0]
        yield _finding(CONFLICT, present[name], f"{len(wrong)} tokens: {printable(first, 200)}", [w for _, w in wrong])


def _finding(rule: Rule, file: str, message: str, details: Iterable[str] = (), severity: Severity | None = None, item: str = "") -> Finding:
    return Finding(
        rule=rule.id,
        message=message,
        severity=severity or rule.severity,
        location=Location(file=printable(file, 200), item=item),
        details=tuple(printable(d, 300) for d in list(details)[:40]),
    )


def _text(value: Any) -> str:
    found = value.get("content") if isinstance(value, dict) else value
    return found if isinstance(found, str) else ""


def _trusted(path: Path) -> dict[str, Any]:
    try:
        return settings(path)
    except (OSError, BadJson):
        return {}


def _equal(one: Path, other: Path) -> bool:
    if not other.is_file() or one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as a, other.open("rb") as b:
        return hashlib.file_digest(a, "sha256").digest() == hashlib.file_digest(b, "sha256").digest()


def _open(path: Path) -> Tokens | None:
    """The tokenizer at `path`; None when it is missing or not a tokenizer of this kind."""
    return _opened(path)[0]


def names(folder: Path) -> dict[int, str]:
    """The tokens of the tokenizer.json in `folder` by number; none when there is no such file, or it is a link or cannot be read."""
    path = folder / FILE
    found = _open(path) if path.is_file() and not path.is_symlink() else None
    return {} if found is None else {number: token for token, number in found.ids.items()}


def _opened(path: Path) -> tuple[Tokens | None, str]:
    """The tokenizer at `path`, and why it cannot be examined where it is none."""
    try:
        data, twice = load_object(head(path, LARGEST), LARGEST)
    except (OSError, BadJson) as error:
        return None, printable(error, 160)
    outside = [k for k in twice if k in data or k in ("vocab", "added_tokens", "merges", "normalizer", "pre_tokenizer", "decoder")]
    if outside:
        return None, f"{printable(repr(outside[0]), 80)} is written twice, and which one counts depends on the loader"
    found = _tokens(data)
    return found, "" if found else "no vocabulary of tokens and numbers"


def _tokens(data: dict[str, Any]) -> Tokens | None:
    try:
        model = data["model"]
        vocabulary = model["vocab"]
        added = {str(t["content"]): t["id"] for t in data.get("added_tokens") or []}
        scores = ""
        if isinstance(vocabulary, list):
            scores = _digest(json.dumps([score for _, score in vocabulary]))
            vocabulary = {str(token): i for i, (token, _) in enumerate(vocabulary)}
        if not isinstance(vocabulary, dict) or not all(isinstance(i, int) for i in (*vocabulary.values(), *added.values())):
            return None
        steps = {name: json.dumps(_essence(data.get(name)), sort_keys=True) for name in ("normalizer", "pre_tokenizer", "post_processor", "decoder")}
        steps["model"] = json.dumps(_essence({k: v for k, v in model.items() if k not in ("vocab", "merges")}), sort_keys=True)
        merges = model.get("merges") or []
        joined = "\n".join(m if isinstance(m, str) else " ".join(map(str, m)) for m in merges) if isinstance(merges, list) else str(merges)
        steps |= {"merges": f"SHA-256 {_digest(joined)}", "scores": scores}
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    ids = {**vocabulary, **added}
    names = {number: token for token, number in ids.items()}
    return Tokens(
        ids, added, steps, tuple(dict.fromkeys(rewrites(data, names))), tuple(_conflicts(vocabulary, data.get("added_tokens") or [])),
        tuple(_slow(data)), tuple(t for t, i in ids.items() if i < 0)[:MOST_SHOWN],
        tuple(t["content"] for t in data.get("added_tokens") or [] if t.get("special") is True and t["content"] in vocabulary and plain(t["content"])),
        tuple(losses(data)),
    )  # fmt: skip


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def _conflicts(vocabulary: dict[str, int], added: list[dict[str, Any]]) -> Iterator[str]:
    names = {number: token for token, number in vocabulary.items()}
    if len(names) < len(vocabulary):
        yield from (f"the number {i} stands for {t!r} and for {names[i]!r}" for t, i in vocabulary.items() if names[i] != t)
    for token in added:
        content, number = str(token["content"]), token["id"]
        if vocabulary.get(content, number) != number:
            yield f"the added token {content!r} has the number {number}, in the vocabulary {vocabulary[content]}"
        elif names.get(number, content) != content:
            yield f"the number {number} stands for {names[number]!r} and for the added token {content!r}"
        names[number] = content


def _slow(data: dict[str, Any]) -> Iterator[str]:
    """Patterns that can take very long, as Python's parser reads them; classes of Unicode count as any letter."""
    stack: list[Any] = [data.get(name) for name in ("normalizer", "pre_tokenizer", "decoder")]
    while stack:
        step = stack.pop()
        if isinstance(step, list):
            stack += step
        elif isinstance(step, dict):
            stack += step.values()
            pattern = step.get("Regex")
            if isinstance(pattern, str) and (len(pattern) > LONGEST or can_hang(_PROPERTY.sub(r"\\w", pattern))):
                yield pattern[:LONGEST]


def _essence(value: Any) -> Any:
    """`value` without what versions of the library write differently: nulls and flags."""
    if isinstance(value, dict):
        return {k: _essence(v) for k, v in value.items() if v is not None and not isinstance(v, bool)}
    return [_essence(v) for v in value] if isinstance(value, list) else value
