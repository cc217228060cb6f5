"""Hidden characters in anything that is read as text: card, configuration, templates, tokenizer entries, file names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from scanner.files.hidden import Hidden, Trick, hidden, twin
from scanner.files.inventory import File
from scanner.files.kinds import Kind
from scanner.files.strict_json import BadJson, load_object
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.measurement import Coverage, Status
from scanner.probe import Need, Yield
from scanner.rule import ATLAS_MASQUERADING, CWE_HIDDEN_TEXT, OWASP_INJECTION, Basis, Rule, Severity
from scanner.subject import Subject

MOST_OF_A_FILE = 2 * 1024 * 1024
MOST_IN_ALL = 32 * 1024 * 1024
LARGEST_JSON = 64 * 1024 * 1024
VOCABULARIES = {"vocab.json", "vocab.txt", "merges.txt"}
"""Files in which every character there is has a place."""
READ_BY_MODELS = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.json", "processor_config.json",
                  "adapter_config.json", "generation_config.json"}  # fmt: skip

NAME = "the file's name"
KNOWN_NAMES = READ_BY_MODELS | {"README.md", "adapter_model.safetensors", "adapter_model.bin", "chat_template.jinja", "config.json"}

HIDDEN = Rule(
    id="hidden-text",
    title="Text that a reader does not see",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="A file holds characters that are not shown, or that change the order in which text is shown.",
    why="What a person reviews is then not what a model or a program reads. Right-to-left languages, emoji and byte-order marks need some of them and are left out; "
    "a single zero-width character, copied along with prose, counts little in prose."
    " A file name that reads as another one is told too.",
    fix="Look at the place with a tool that shows code points; remove the characters.",
    references=(ATLAS_MASQUERADING, CWE_HIDDEN_TEXT, OWASP_INJECTION),
)
IN_PROMPT = Rule(
    id="hidden-text-in-prompt",
    title="Hidden text in what builds prompts",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="A chat template, tokenizer entry or setting holds a hidden message, reordered text, or control text in letters of another script.",
    why="It reaches the model and no reviewer. No honest template needs it.",
    fix="Do not load the tokenizer from this folder; use the base's.",
    references=(ATLAS_MASQUERADING, CWE_HIDDEN_TEXT, OWASP_INJECTION),
)


class Place(msgspec.Struct, frozen=True):
    """Hidden characters and where in a file they stand: a line, or a key of its JSON."""

    where: str
    hidden: Hidden


class InvisibleProbe:
    """Every text file, and every string inside JSON after its escapes."""

    id = "invisible"
    title = "Hidden characters"
    needs = Need.FILES
    cost = "one search through at most 2 MiB of each text file and 32 MiB in all"
    rules = (HIDDEN, IN_PROMPT)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Search names, text and decoded JSON."""
        root, left, searched = subject.adapter.root, MOST_IN_ALL, 0
        names = KNOWN_NAMES | {PurePosixPath(f.path).name for f in subject.adapter.files}
        for file in subject.adapter.files:
            places = [Place(NAME, h) for h in [*hidden(file.path), *_twin(file.path, names)]]
            if file.kind in (Kind.TEXT, Kind.JSON, Kind.SCRIPT) and PurePosixPath(file.path).name not in VOCABULARIES and left > 0:
                searched += 1
                for item, text in _texts(root, file):
                    part = text[: min(left, MOST_OF_A_FILE)]
                    left -= len(part)
                    places += _places(file.path, item, part)
            if places:
                yield _finding(file.path, places)
        yield Coverage(
            probe=self.id,
            what="hidden characters",
            status=Status.MEASURED,
            surface=f"{searched} text files",
            bound="a tokenizer's vocabulary holds every character and is left out; its added tokens and steps are not",
        )


def _texts(root: Path, file: File) -> Iterator[tuple[str, str]]:
    """Where, and the text there: the file itself, and for JSON also each string in it that is not plain ASCII."""
    name = PurePosixPath(file.path).name
    vocabulary = name == "tokenizer.json"
    most = LARGEST_JSON if vocabulary else MOST_OF_A_FILE
    with (root / file.path).open("rb") as stream:
        data = stream.read(most + 1)
    if not vocabulary:
        yield "", data[:MOST_OF_A_FILE].decode("utf-8", "replace")
    if file.kind is not Kind.JSON or (b"\\u" not in data and not vocabulary):
        return
    try:
        found, _ = load_object(data, most)
    except BadJson:
        return
    if vocabulary:
        found = {k: v for k, v in found.items() if k != "model"}
    stack: list[tuple[str, Any]] = [("", found)]
    while stack:
        where, value = stack.pop()
        if isinstance(value, dict):
            for key, inner in value.items():
                place = f"{where}.{key}" if where else key
                if not key.isascii() or "\x1b" in key:
                    yield where or "a key", key
                stack.append((place[:200], inner))
        elif isinstance(value, list):
            stack += [(where, inner) for inner in value]
        elif isinstance(value, str) and (vocabulary or json.dumps(value).count("\\u")):
            yield where, value


def _places(path: str, item: str, text: str) -> Iterator[Place]:
    for found in hidden(text):
        if found.trick is Trick.PRIVATE and not _prompt(path):
            continue
        if not item:
            yield Place(f"line {text.count(chr(10), 0, found.offset) + 1}", found)
        elif found.trick is not Trick.CONTROL or _prompt(path):
            yield Place(item, found)


def _finding(path: str, places: list[Place]) -> Finding:
    grave = [p for p in places if p.hidden.trick.grave and (p.hidden.trick is not Trick.CONTROL or _shown_as_is(path))]
    noted = bool(grave) or (_prompt(path) and PurePosixPath(path).name != "tokenizer.json") or places[0].where == NAME
    rule = IN_PROMPT if grave and _prompt(path) else HIDDEN
    first = (grave or places)[0]
    said = [f"{printable(p.where, 120)}: {p.hidden.trick} ({printable(p.hidden.shown, 160)})" for p in dict.fromkeys([first, *places])]
    return Finding(
        rule=rule.id,
        message=f"{printable(path, 200)}, {said[0]}{f', and {len(said) - 1} more' if len(said) > 1 else ''}",
        severity=rule.severity if noted else Severity.LOW,
        location=Location(file=printable(path, 200), item=printable(first.where, 120)),
        details=tuple(said[:40]),
    )


def _twin(path: str, names: set[str]) -> Iterator[Hidden]:
    name = PurePosixPath(path).name
    plain = twin(name)
    if plain != name and plain in names:
        yield Hidden(Trick.LOOKALIKE, 0, f"reads as {plain}")


def _prompt(path: str) -> bool:
    """Whether a loader builds prompts, or the adapter, from this file."""
    name = PurePosixPath(path).name
    return name in READ_BY_MODELS or name.endswith((".jinja", ".jinja2"))


def _shown_as_is(path: str) -> bool:
    """Whether a control character in this file is more than the colours of a log: cards are read in terminals, settings by loaders."""
    name = PurePosixPath(path).name
    return name.lower().endswith((".md", ".jinja", ".jinja2")) or (_prompt(path) and name != "tokenizer.json")
