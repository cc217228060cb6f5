"""Files that change how prompts are built and answers end: chat template, tokenizer, generation settings, compared with the base's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from probes.wrapper import generation, rendering, template, tokenizer
from probes.wrapper.sources import Template, beside, settings, templates
from scanner.files.inventory import File
from scanner.files.strict_json import BadJson
from scanner.files.text import printable
from scanner.measurement import Coverage, Status
from scanner.probe import Need, Yield
from scanner.subject import Subject

NAMES = "tokenizer_config.json"
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


class WrapperProbe:
    """Chat template, tokenizer and generation settings."""

    id = "wrapper"
    title = "Chat template and tokenizer"
    needs = Need.FILES
    cost = "one read of template and tokenizer; a tenth of a second to render templates that are not the base's"
    rules = (*template.RULES, *tokenizer.RULES, *generation.RULES)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Compare wrapper files with the base's; report what can be said without one in any case."""
        root, base = subject.adapter.root, subject.base.path if subject.base else None
        regular = [f.path for f in subject.adapter.files if f.sha256]
        found = list(templates(root, regular))
        theirs = list(templates(base, beside(base))) if base else None
        if theirs is not None and subject.base is not None and not any(t.name == "default" for t in theirs):
            theirs = [Template("", "default", subject.base.chat_template), *theirs]
        unrendered = ""
        try:
            yield from template.judge(found, theirs, _tokens(base or (root if NAMES in regular else None)))
        except rendering.Unavailable as error:
            unrendered = f"chat templates could not be rendered: {printable(error, 160)}"
        for folder in _folders(subject.adapter.files):
            yield from tokenizer.compare(root, folder, base)
        yield from generation.compare(root, regular, base)
        seen = sorted({t.file for t in found} | {p for p in regular if (name := p.rsplit("/", 1)[-1]) == generation.FILE or tokenizer.is_tokenizer(name)})
        more = min(len({t.text for t in found}), template.MOST_READ) - rendering.MOST
        yield Coverage(
            probe=self.id,
            what="chat template, tokenizer and generation settings" + ("" if base else ", without a base to compare with"),
            status=Status.NOT_MEASURED if unrendered else Status.MEASURED,
            surface=", ".join(seen[:12]) + (f" and {len(seen) - 12} more" if len(seen) > 12 else "") or "none in the folder: the base's are used",
            bound="behaviour is measured with the base's own wrapper" + (f"; {more} templates were read and not rendered" if more > 0 else ""),
            why=unrendered,
        )


def _folders(files: tuple[File, ...]) -> list[list[str]]:
    """Tokenizer files by the folder they lie in; folders with the same files, as checkpoints have them, once."""
    found: dict[str, list[File]] = {}
    for file in files:
        if file.sha256 and tokenizer.is_tokenizer(PurePosixPath(file.path).name):
            found.setdefault(str(PurePosixPath(file.path).parent), []).append(file)
    once = {tuple((PurePosixPath(f.path).name, f.sha256) for f in some): some for _, some in sorted(found.items(), reverse=True)}
    return [[f.path for f in some] for some in sorted(once.values(), key=lambda some: some[0].path)]


def _tokens(folder: Path | None) -> dict[str, str]:
    """Variables that a template is rendered with: the special tokens of `folder`, where it names them."""
    found: dict[str, Any] = {}
    if folder is not None:
        with contextlib.suppress(OSError, BadJson):
            found = settings(folder / NAMES)
    named = {k: v.get("content") if isinstance(v, dict) else v for k, v in found.items() if k in TOKENS}
    return TOKENS | {k: v[:200] for k, v in named.items() if isinstance(v, str)}
