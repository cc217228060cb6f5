"""Licences: the adapter's against the base's, in what both papers say. Information, not legal advice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from scanner.files import card as cards
from scanner.files.card import Card
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.measurement import Column, Coverage, Status, Table
from scanner.probe import Need, Yield
from scanner.rule import NIST_MODEL_CARDS, OWASP_SUPPLY_CHAIN, Basis, Rule, Severity
from scanner.subject import Subject

LARGEST = 64 * 1024
FILES = re.compile(r"(?i)(?:licen[cs]e|copying)(?:[._-][\w.-]{0,20})?")
ADVICE = "This compares what the papers say; it is not legal advice."


class Term(StrEnum):
    """What a licence asks beyond naming the author."""

    NON_COMMERCIAL = "no commercial use"
    NO_DERIVATIVES = "no changed versions"
    USES = "restricted uses, passed on to everyone downstream"
    SAME = "the same licence for derived works"
    NETWORK = "source for users over a network"


_USES, _NC, _SAME = frozenset({Term.USES}), frozenset({Term.NON_COMMERCIAL}), frozenset({Term.SAME})
TERMS: tuple[tuple[str, frozenset[Term]], ...] = (
    (r"cc-by-nc-nd-[\d.]+", frozenset({Term.NON_COMMERCIAL, Term.NO_DERIVATIVES})),
    (r"cc-by-nc-sa-[\d.]+", frozenset({Term.NON_COMMERCIAL, Term.SAME})),
    (r"cc-by-nc-[\d.]+|fair-noncommercial-research-license|apple-amlr|intel-research|deepfloyd-if-license|mistral-ai-research|mrl|llama-1-research", _NC),
    (r"cc-by-nd-[\d.]+", frozenset({Term.NO_DERIVATIVES})),
    (r"cc-by-sa-[\d.]+|gpl-[\d.]+(?:-only|-or-later|\+)?|lgpl-[\d.]+(?:-only|-or-later|\+)?|osl-[\d.]+|eupl-[\d.]+|cdla-sharing-1\.0|odbl(?:-1\.0)?", _SAME),
    (r"agpl-[\d.]+(?:-only|-or-later|\+)?", frozenset({Term.SAME, Term.NETWORK})),
    (
        r"(?:creativeml-|bigscience-|bigcode-)?openrail(?:\+\+|-m|\+\+-m)?(?:-v?[\d.]+)?|bigscience-bloom-rail-1\.0|llama[234](?:\.\d)?|gemma|falcon-llm|deepseek",
        _USES,
    ),
    (
        r"apache-[\d.]+|mit|mit-0|bsd(?:-\d-clause(?:-clear)?)?|isc|cc-by-[\d.]+|cc0-1\.0|unlicense|wtfpl|zlib|bsl-1\.0|afl-3\.0|ms-pl|ecl-2\.0|artistic-2\.0|ncsa|pddl"
        r"|odc-by|cdla-permissive-[\d.]+|postgresql|mpl-2\.0|epl-[\d.]+|python-2\.0|0bsd|openmdw-1\.\d",
        frozenset(),
    ),
)
"""Names as SPDX or the Hugging Face Hub write them, in lower case, and what they ask."""
TEXTS: tuple[tuple[str, str], ...] = (
    (r"apache license\s+version 2\.0", "apache-2.0"),
    (r"gnu affero general public license\s+version 3", "agpl-3.0"),
    (r"gnu lesser general public license\s+version 3", "lgpl-3.0"),
    (r"gnu general public license\s+version 3", "gpl-3.0"),
    (r"gnu general public license\s+version 2", "gpl-2.0"),
    (r"llama 2 community license", "llama2"),
    (r"meta llama 3 community license", "llama3"),
    (r"llama 3\.1 community license", "llama3.1"),
    (r"llama 3\.2 community license", "llama3.2"),
    (r"llama 3\.3 community license", "llama3.3"),
    (r"llama 4 community license", "llama4"),
    (r"gemma terms of use", "gemma"),
    (r"bigcode open ?rail-m", "bigcode-openrail-m"),
    (r"creativeml open rail\+\+-m", "openrail++"),
    (r"creativeml open rail-m", "creativeml-openrail-m"),
    (r"bigscience (?:open )?rail", "bigscience-bloom-rail-1.0"),
    (r"attribution-noncommercial-noderiv\w* 4\.0", "cc-by-nc-nd-4.0"),
    (r"attribution-noncommercial-sharealike 4\.0", "cc-by-nc-sa-4.0"),
    (r"attribution-noncommercial 4\.0", "cc-by-nc-4.0"),
    (r"attribution-sharealike 4\.0", "cc-by-sa-4.0"),
    (r"attribution 4\.0 international", "cc-by-4.0"),
    (r"permission is hereby granted, free of charge, to any person obtaining a copy", "mit"),
    (r"redistribution and use in source and binary forms", "bsd"),
)
"""Words of a licence's own text, and its name; the first that occurs counts."""
BASES: tuple[tuple[str, str], ...] = (
    (r"meta-llama/llama-2-.*", "llama2"),
    (r"meta-llama/meta-llama-3-.*", "llama3"),
    (r"meta-llama/(?:meta-)?llama-3\.1-.*", "llama3.1"),
    (r"meta-llama/llama-3\.2-.*", "llama3.2"),
    (r"meta-llama/llama-3\.3-.*", "llama3.3"),
    (r"meta-llama/llama-4-.*", "llama4"),
    (r"google/(?:code)?gemma-(?:1\.1-|2-|3-|3n-)?(?:e?\d+m?b?|270m).*", "gemma"),
    (r"(?:cohereforai|coherelabs)/(?:c4ai-)?(?:command-r|aya).*", "cc-by-nc-4.0"),
)
"""Names of published bases whose licence is well known, for a scan without a base."""

_SAID = re.compile(r"(?i)\bbase(?: model)?(?:'s)? licen[cs]e\W{1,8}([A-Za-z][\w.+-]{1,60})")

TERMS_DIFFER = Rule(
    id="licence-terms",
    title="The adapter's licence promises more than the base's allows",
    severity=Severity.MEDIUM,
    basis=Basis.DOCUMENTATION,
    meaning="The base is licensed under a condition that the adapter's licence does not repeat.",
    why="Base and adapter run together, so the stricter condition holds whatever the adapter's card says. Whether an adapter is a derived work is open. "
    "Use restrictions and share-alike, which are often left unsaid, count little.",
    fix="Follow the base's licence; ask the author to name it on the card. This compares what the papers say; it is not legal advice.",
    references=(NIST_MODEL_CARDS, OWASP_SUPPLY_CHAIN),
)
RESTRICTED = Rule(
    id="licence-restricts",
    title="The licence restricts use",
    severity=Severity.INFO,
    basis=Basis.DOCUMENTATION,
    meaning="The adapter's own licence asks for more than naming the author.",
    why="It may not fit what you want to do with it.",
    fix="Read the licence. This compares what the papers say; it is not legal advice.",
)
DISAGREE = Rule(
    id="licence-contradiction",
    title="Card and licence file name different licences",
    severity=Severity.LOW,
    basis=Basis.DOCUMENTATION,
    meaning="The card's front matter says one licence, the text of a LICENSE file is another.",
    why="Nobody can tell which one was meant. A base's licence put beside an adapter's card looks like this honestly.",
    fix="Ask the author.",
    references=(NIST_MODEL_CARDS,),
)
UNKNOWN = Rule(
    id="licence-unknown",
    title="A licence that unmask does not know",
    severity=Severity.INFO,
    basis=Basis.DOCUMENTATION,
    meaning="The licence is neither an SPDX identifier nor one of the Hub's, or only says `other`.",
    why="Nothing was compared.",
    fix="Read it. This compares what the papers say; it is not legal advice.",
)


class Stated(msgspec.Struct, frozen=True):
    """A licence and where it is stated; strings are untrusted where they come from the adapter."""

    licence: str
    where: str


class LicenceProbe:
    """Who may use adapter and base together, as far as their papers say."""

    id = "licence"
    title = "Licence"
    needs = Need.FILES
    cost = "one read of the card and of licence files, at most 64 KiB each"
    rules = (TERMS_DIFFER, RESTRICTED, DISAGREE, UNKNOWN)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Compare what is stated."""
        adapter = subject.adapter
        mine = _stated(adapter.card, adapter.root, [f.path for f in adapter.files if f.sha256])
        theirs = _of_base(subject)
        for stated, whose in ((mine, "adapter"), (theirs, "base")):
            for each in stated:
                yield from _unknown(each, whose)
        known = [s for s in mine if terms(s.licence) is not None]
        named = sorted({_plain(s.licence) for s in known})
        if len({terms(n) for n in named}) > 1:
            yield Finding(rule=DISAGREE.id, message="; ".join(f"{s.where}: {printable(s.licence, 60)}" for s in known[:4]), severity=DISAGREE.severity)
        if known:
            yield from _compare(known[0], [s for s in theirs if terms(s.licence) is not None][:1])
        rows = tuple(
            (whose, printable(s.licence, 80), s.where, _words(terms(s.licence))) for whose, some in (("adapter", mine), ("base", theirs)) for s in some
        )
        columns = (Column("of", "of"), Column("licence", "licence"), Column("where", "stated in"), Column("terms", "asks"))
        yield Table(id="licence.stated", title="Licences", columns=columns, rows=rows)
        yield Coverage(
            probe=self.id,
            what="licences of adapter and base",
            status=Status.MEASURED,
            surface=f"adapter: {printable(mine[0].licence, 60) if mine else 'none stated'}; base: {printable(theirs[0].licence, 60) if theirs else 'not known'}",
            bound=ADVICE,
        )


def _compare(mine: Stated, theirs: list[Stated]) -> Iterator[Finding]:
    own = terms(mine.licence) or frozenset()
    if own:
        yield Finding(rule=RESTRICTED.id, message=f"{printable(mine.licence, 80)} in {mine.where}: {_words(own)}", severity=RESTRICTED.severity)
    for base in theirs:
        lost = (terms(base.licence) or frozenset()) - own
        if lost:
            grave = lost & {Term.NON_COMMERCIAL, Term.NO_DERIVATIVES}
            yield Finding(
                rule=TERMS_DIFFER.id,
                message=f"the base's {printable(base.licence, 60)} ({base.where}) asks for {_words(lost)}; the adapter's {printable(mine.licence, 60)} does not",
                severity=TERMS_DIFFER.severity if grave else Severity.LOW,
            )


def _unknown(stated: Stated, whose: str) -> Iterator[Finding]:
    if terms(stated.licence) is None:
        where = Location(file=stated.where if whose == "adapter" else "")
        yield Finding(rule=UNKNOWN.id, message=f"the {whose}'s {printable(stated.licence, 80)} in {stated.where}", severity=UNKNOWN.severity, location=where)


def terms(expression: str) -> frozenset[Term] | None:
    """What an SPDX expression, or a name of the Hub's, asks for; of alternatives the one that asks least. None when a name in it is unknown."""
    plain = _plain(expression)
    single = _single(plain)
    if single is not None or len(plain) > 400:
        return single
    from license_expression import ExpressionError, ExpressionParseError

    try:
        return _evaluate(_licensing().parse(plain))
    except (ExpressionError, ExpressionParseError, AttributeError, TypeError, ValueError, RecursionError):
        return None


def _evaluate(node: Any) -> frozenset[Term] | None:
    if getattr(node, "isliteral", False):
        return _single(_plain(str(node.key if not hasattr(node, "license_symbol") else node.license_symbol.key)))
    parts = [_evaluate(a) for a in node.args]
    known = [p for p in parts if p is not None]
    if node.operator.strip().upper() == "OR":
        return min(known, key=len, default=None)
    return frozenset().union(*known) if len(known) == len(parts) else None


def _single(name: str) -> frozenset[Term] | None:
    return next((asks for pattern, asks in TERMS if re.fullmatch(pattern, name)), None)


def _plain(name: str) -> str:
    return name.strip().lower()


def _words(asks: frozenset[Term] | None) -> str:
    return "not known" if asks is None else ", ".join(t.value for t in Term if t in asks) or "naming the author"


@cache
def _licensing() -> Any:
    from license_expression import Licensing

    return Licensing()


def _stated(card: Card | None, root: Path, paths: list[str]) -> list[Stated]:
    """The card's licence first, then those told from the text of licence files in the folder itself."""
    found: list[Stated] = []
    if card is not None:
        for said in card.declared("license"):
            name = _text(card.front_matter.get("license_name")) if said.lower() == "other" else ""
            found.append(Stated(name or said, cards.NAME))
    for path in sorted(p for p in paths if "/" not in p and FILES.fullmatch(PurePosixPath(p).name)):
        with (root / path).open("rb") as stream:
            text = re.sub(r"\s+", " ", stream.read(LARGEST).decode("utf-8", "replace").lower())
        name = next((name for pattern, name in TEXTS if re.search(pattern.replace(r"\s+", " "), text)), "")
        if name:
            found.append(Stated(name, printable(path, 80)))
    return found


def _of_base(subject: Subject) -> list[Stated]:
    base = subject.base
    if base is not None:
        paths = sorted(p.name for p in base.path.iterdir() if p.is_file())
        found = _stated(cards.read(base.path), base.path, paths)
        if found:
            return [Stated(s.licence, f"the base's {s.where}") for s in found]
    names = [*(base.origin if base else ()), subject.adapter.config.base_model_name_or_path or ""]
    for name in names:
        for pattern, licence in BASES:
            if re.fullmatch(pattern, name.lower()):
                return [Stated(licence, f"known of {printable(name, 80)}")]
    return _said_of_base(subject.adapter.card)


def _said_of_base(card: Card | None) -> list[Stated]:
    """What the adapter's card says the base's licence is, where that is a licence's name."""
    for section in card.sections if card else ():
        for match in _SAID.finditer(section.text[:LARGEST]):
            name = match[1].rstrip(".")
            if terms(name) is not None:
                return [Stated(name, f"the adapter's {cards.NAME}")]
    return []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
