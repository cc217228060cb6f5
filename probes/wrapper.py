"""Files that change how prompts are built: chat template, tokenizer, generation settings, compared with the base's."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from probes.template import reactions
from scanner.files.strict_json import BadJson, load_object
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.measurement import Coverage, Status
from scanner.model.base import Base
from scanner.probe import Need, Yield
from scanner.rule import ATLAS_MASQUERADING, ATLAS_TRIGGER, OWASP_POISONING, OWASP_SUPPLY_CHAIN, Basis, Rule, Severity
from scanner.subject import Subject

LARGEST_TEMPLATE = 256 * 1024
LARGEST_TOKENIZER = 64 * 1024 * 1024
LARGEST_SETTINGS = 8 * 1024 * 1024
SETTINGS = ("tokenizer_config.json", "chat_template.json", "processor_config.json")

TEMPLATE_CHANGED = Rule(
    id="template-changed",
    title="The adapter brings a chat template of its own",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="The folder's chat template is not the base's. Tokenizers loaded from this folder will use it.",
    why="A template writes into every prompt. It can hide instructions or a trigger without touching a weight.",
    fix="Load the tokenizer from the base, not from the adapter's folder, or read the difference and accept it.",
    references=(OWASP_POISONING, OWASP_SUPPLY_CHAIN),
)
TEMPLATE_CONDITIONAL = Rule(
    id="template-conditional",
    title="The chat template reacts to what the user writes",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="The template tests the text of a message and writes something else into the prompt when it matches.",
    why="This is a backdoor without a weight: the trigger is in the template (arXiv 2602.04653). Templates test roles and tools, not words.",
    fix="Do not load the tokenizer from this folder.",
    references=(ATLAS_TRIGGER, OWASP_POISONING, OWASP_SUPPLY_CHAIN),
)
TEMPLATE_UNKNOWN = Rule(
    id="template-present",
    title="The adapter brings a chat template, and there is no base to compare it with",
    severity=Severity.INFO,
    basis=Basis.DOCUMENTATION,
    meaning="Without --base it cannot be told whether the template is the base's.",
    why="Many honest adapters carry a copy of the base's template.",
    fix="Scan with --base.",
)
TOKENIZER_CHANGED = Rule(
    id="tokenizer-changed",
    title="The adapter brings another tokenizer",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="The vocabulary or the added tokens differ from the base's.",
    why="Remapped tokens change what the model reads; added tokens can be triggers. Fine-tunes with new special tokens look like this honestly.",
    fix="Load the tokenizer from the base, or ask for the reason of each token.",
    references=(ATLAS_MASQUERADING, OWASP_POISONING),
)


class WrapperProbe:
    """Chat template and tokenizer."""

    id = "wrapper"
    title = "Chat template and tokenizer"
    needs = Need.FILES
    cost = "one read of the template and the tokenizer"
    rules = (TEMPLATE_CHANGED, TEMPLATE_CONDITIONAL, TEMPLATE_UNKNOWN, TOKENIZER_CHANGED)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Compare wrapper files with the base's; report what tests the user's words in any case."""
        folder, base = subject.adapter.folder, subject.base
        regular = {f.path for f in subject.adapter.files if f.sha256}
        found: list[str] = []
        for file, template in _templates(folder, regular):
            found.append(file)
            yield from self._template(file, template, base)
        for name in SETTINGS:
            if name in regular:
                try:
                    load_object(_head(folder / name, LARGEST_SETTINGS), LARGEST_SETTINGS)
                except BadJson as error:
                    yield Finding(
                        rule=TEMPLATE_CHANGED.id,
                        message=f"{name} cannot be examined: {error}",
                        severity=TEMPLATE_CHANGED.severity,
                        location=Location(file=name),
                    )
        if "tokenizer.json" in regular and base is not None:
            found.append("tokenizer.json")
            yield from self._tokenizer(folder, base)
        yield Coverage(
            probe=self.id,
            what="chat template and tokenizer" + ("" if base else ", without a base to compare with"),
            status=Status.MEASURED,
            surface=", ".join(found) or "none in the folder: the base's are used",
            bound="behaviour is measured with the base's own wrapper",
        )

    def _template(self, file: str, template: str, base: Base | None) -> Iterator[Finding]:
        where = Location(file=file)
        if base is not None and template.strip() == base.chat_template.strip():
            return
        problem = ""
        try:
            words = reactions(template) if len(template) <= LARGEST_TEMPLATE else []
            problem = "" if len(template) <= LARGEST_TEMPLATE else f"over {LARGEST_TEMPLATE:,} characters"
        except ValueError as error:
            words, problem = [], printable(error, 120)
        if words:
            yield Finding(
                rule=TEMPLATE_CONDITIONAL.id,
                message=f"{file} looks for {printable(repr(words[0]), 160)} in the text of messages",
                severity=TEMPLATE_CONDITIONAL.severity,
                location=where,
                details=tuple(printable(w, 200) for w in words[:20]),
            )
        if problem:
            yield Finding(rule=TEMPLATE_CHANGED.id, message=f"{file} cannot be examined: {problem}", severity=TEMPLATE_CHANGED.severity, location=where)
        elif base is None:
            yield Finding(rule=TEMPLATE_UNKNOWN.id, message=f"{file}, {len(template):,} characters", severity=TEMPLATE_UNKNOWN.severity, location=where)
        else:
            lines = difflib.unified_diff(base.chat_template.splitlines()[:2000], template[:LARGEST_TEMPLATE].splitlines()[:2000], lineterm="", n=0)
            changed = [printable(line, 300) for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]
            yield Finding(
                rule=TEMPLATE_CHANGED.id,
                message=f"{file}: {len(changed)} lines differ from the base's template",
                severity=TEMPLATE_CHANGED.severity,
                location=where,
                details=tuple(changed[:40]),
            )

    def _tokenizer(self, folder: Path, base: Base) -> Iterator[Finding]:
        mine, theirs = _vocabulary(folder / "tokenizer.json"), _vocabulary(base.path / "tokenizer.json")
        if theirs is None:
            return
        if mine is None:
            yield Finding(
                rule=TOKENIZER_CHANGED.id,
                message="tokenizer.json cannot be read as the base's can",
                severity=TOKENIZER_CHANGED.severity,
                location=Location(file="tokenizer.json"),
            )
            return
        moved = sorted(t for t in mine.keys() & theirs.keys() if mine[t] != theirs[t])
        added = sorted(mine.keys() - theirs.keys())
        gone = sorted(theirs.keys() - mine.keys())
        steps = sorted(_steps(folder / "tokenizer.json") ^ _steps(base.path / "tokenizer.json"))
        if steps and not (moved or added or gone):
            yield Finding(
                rule=TOKENIZER_CHANGED.id,
                message=f"the same tokens, but text is prepared or split another way: {printable(steps[0], 120)}",
                severity=TOKENIZER_CHANGED.severity,
                location=Location(file="tokenizer.json"),
                details=tuple(printable(s, 300) for s in steps[:20]),
            )
        if moved or added or gone:
            yield Finding(
                rule=TOKENIZER_CHANGED.id,
                message=f"{len(added)} tokens added, {len(moved)} remapped, {len(gone)} removed",
                severity=TOKENIZER_CHANGED.severity,
                location=Location(file="tokenizer.json"),
                details=tuple(printable(f"{kind}: {t}", 120) for kind, some in (("added", added), ("remapped", moved), ("removed", gone)) for t in some[:15]),
            )


def _templates(folder: Path, regular: set[str]) -> Iterator[tuple[str, str]]:
    for name in sorted(regular):
        if name == "chat_template.jinja" or (name.startswith(("additional_chat_templates/", "chat_templates/")) and name.endswith(".jinja")):
            yield name, _head(folder / name, LARGEST_TEMPLATE).decode("utf-8", "replace")
    for name in SETTINGS:
        if name in regular:
            try:
                settings, _ = load_object(_head(folder / name, LARGEST_SETTINGS), LARGEST_SETTINGS)
            except BadJson:
                continue
            value = settings.get("chat_template")
            several: list[Any] = value if isinstance(value, list) else [{"template": value}]
            for item in several:
                if isinstance(item, dict) and isinstance(item.get("template"), str):
                    yield name, item["template"]


def _head(path: Path, most: int) -> bytes:
    with path.open("rb") as stream:
        return stream.read(most + 1)


def _vocabulary(path: Path) -> dict[str, int] | None:
    """Token to id, added tokens included; None when the file is missing or not a tokenizer of this kind."""
    try:
        data, _ = load_object(_head(path, LARGEST_TOKENIZER), LARGEST_TOKENIZER)
        vocabulary = data["model"]["vocab"]
        added = {str(t["content"]): t["id"] for t in data.get("added_tokens") or []}
    except (OSError, BadJson, KeyError, TypeError):
        return None
    if isinstance(vocabulary, list):
        try:
            vocabulary = {str(token): i for i, (token, _) in enumerate(vocabulary)}
        except (TypeError, ValueError):
            return None
    return {**vocabulary, **added} if isinstance(vocabulary, dict) else None


def _steps(path: Path) -> set[str]:
    """What a tokenizer does besides its vocabulary, each part written out; flags are left out, versions of the library differ in them."""
    data, _ = load_object(_head(path, LARGEST_TOKENIZER), LARGEST_TOKENIZER)
    merges = data["model"].get("merges") or []
    parts = {f"{name}: {json.dumps(_essence(data.get(name)), sort_keys=True)}" for name in ("normalizer", "pre_tokenizer", "post_processor", "decoder")}
    joined = "\n".join(m if isinstance(m, str) else " ".join(map(str, m)) for m in merges) if isinstance(merges, list) else str(merges)
    return {*parts, f"merges: SHA-256 {hashlib.sha256(joined.encode('utf-8', 'backslashreplace')).hexdigest()}"}


def _essence(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _essence(v) for k, v in value.items() if v is not None and not isinstance(v, bool)}
    return [_essence(v) for v in value] if isinstance(value, list) else value
