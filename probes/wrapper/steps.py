"""The steps of a tokenizer.json that deal in words: replaced, cut out, put in, or dropped when tokens become text again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from probes.config.patterns import LONGEST, can_hang

SAMPLE = (
    "I'm sorry, but I cannot and can't help with that. It isn't safe, legal or right, and you should not do this. I won't; no, never. "
    "Ordinary words: The tide at the harbour rises by noon and 42 boats leave. HELLO World, don't say we'll, they've or she'd."
)
"""What patterns are tried on: no honest step takes a letter out of it."""
SHORTEST = 32
"""Tokens; a tokenizer that cuts every text to fewer leaves no room for a prompt."""
WIDEST = 1_000_000
"""Tokens that a text may be padded to."""
STRINGS = {"prefix": "WordPiece", "suffix": "BPEDecoder", "pad_token": "CTC", "word_delimiter_token": "CTC", "delimiter": "CharDelimiterSplit",
           "replacement": "Metaspace", "str_rep": "Metaspace"}  # fmt: skip
"""Fields of steps that are deleted from every text, or split it: signs, never letters."""
PARTS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
_WORD = re.compile(r"[^\W\d_]{2,}")
_MARKS = re.compile(r"<[^<>]*>|\[[^\[\]]*\]|[▁ĠĊ]")
_SHORT = re.compile(r"['’](?:s|t|re|ve|m|ll|d)(?![a-z])|['’]\(\?[a-z]*:\[?sdmt\]?\|ll\|ve\|re\)")
_CODES = re.compile(r"\\x([0-9A-Fa-f]{2})|\\u([0-9A-Fa-f]{4})|\\x\{([0-9A-Fa-f]{1,6})\}")
_CLASSES = re.compile(r"\\[pP]\{[^}]{0,40}\}|\\[pP][A-Z]|\\[A-Za-z]|\[:\^?[a-z]+:\]|\(\?<?[a-zA-Z^-]+[:)>]|a-z|A-Z")
_CONTROL = re.compile(r"<\\\|\w{1,40}\\\|>")
"""Special tokens such as <|endoftext|>, which patterns keep whole."""
_SET = re.compile(r"\[[^\]]*\]")


def plain(token: str) -> bool:
    """Whether a token is an ordinary word, and no sign of a tokenizer, which stand in brackets or in capitals."""
    return _WORD.fullmatch(token.strip("▁Ġ ")) is not None and token.upper() != token


def rewrites(data: dict[str, Any], names: dict[int, str]) -> Iterator[str]:
    """Steps that replace, remove or add words; `names` are the tokens by number."""
    for part in PARTS:
        for step in _steps(data.get(part)):
            yield from _rewrite(part, step)
    for step in _steps(data.get("post_processor")):
        yield from _put_in(step, names)


def losses(data: dict[str, Any]) -> Iterator[str]:
    """Settings that leave hardly anything of a text, make it endlessly long, or split it at random."""
    cut, padding, model = data.get("truncation"), data.get("padding"), data.get("model")
    if isinstance(cut, dict) and is_number(cut.get("max_length")) and cut["max_length"] < SHORTEST:
        yield f"every text is cut to {cut['max_length']} tokens"
    fixed = padding.get("strategy") if isinstance(padding, dict) else None
    if isinstance(fixed, dict) and is_number(fixed.get("Fixed")) and fixed["Fixed"] > WIDEST:
        yield f"every text is padded to {fixed['Fixed']} tokens"
    if isinstance(model, dict) and is_number(model.get("dropout")) and model["dropout"] > 0:
        yield f"words are split at random: dropout is {model['dropout']}"


def is_number(value: Any) -> bool:
    """Whether a value of JSON is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _steps(value: Any) -> Iterator[dict[str, Any]]:
    """Every step below `value`."""
    stack = [value]
    while stack:
        step = stack.pop()
        if isinstance(step, list):
            stack += step
        elif isinstance(step, dict):
            yield step
            stack += [v for k, v in step.items() if k not in ("pattern", "special_tokens")]


def _rewrite(part: str, step: dict[str, Any]) -> Iterator[str]:
    kind, content, pattern = step.get("type"), step.get("content"), step.get("pattern")
    found = pattern.get("String", pattern.get("Regex", "")) if isinstance(pattern, dict) else pattern
    if isinstance(found, str) and kind == "Replace":
        from_sign = len(found) == 1 and not found.isascii()
        if _deals_in_words(pattern, found) or (isinstance(content, str) and (_WORD.search(content) or (_letters(content) and not from_sign))):
            yield f"{part} replaces {found!r} by {content!r}"
    elif isinstance(found, str) and kind == "Split" and step.get("behavior") == "Removed":
        if step.get("invert") is True and _leaves_letters(found, isinstance(pattern, dict) and "Regex" in pattern):
            yield f"{part} cuts out what is not {found!r}"
        elif step.get("invert") is not True and _deals_in_words(pattern, found):
            yield f"{part} cuts out {found!r}"
    elif kind == "Prepend" and _letters(step.get("prepend")):
        yield f"{part} puts {step['prepend']!r} before the text"
    elif kind == "Strip" and _letters(content):
        yield f"{part} strips {content!r}"
    for field, of in STRINGS.items():
        if kind == of and _letters(step.get(field)):
            yield f"{part} takes {step[field]!r} for a sign ({kind}, {field})"


def _letters(text: Any) -> bool:
    """Whether letters stand in `text` outside brackets; signs that tokenizers write for a blank are none."""
    return isinstance(text, str) and any(c.isalpha() for c in _MARKS.sub("", text))


def _deals_in_words(pattern: Any, found: str) -> bool:
    """Whether what `found` looks for is, or can be, letters of ordinary English, or words of any language."""
    if not (isinstance(pattern, dict) and "String" not in pattern and "Regex" in pattern):
        return any(c.isascii() and c.isalpha() for c in found) or _WORD.search(_MARKS.sub("", found)) is not None
    spelled = _CLASSES.sub("", _decoded(found))
    if any(c.isascii() and c.isalpha() for c in spelled) or _WORD.search(_SET.sub(" ", spelled)):
        return True
    compiled = _compiled(found)
    return compiled is not None and any(c.isalpha() for match in compiled.finditer(SAMPLE) for c in match.group())


def _leaves_letters(found: str, regex: bool) -> bool:
    """Whether a splitter that keeps only what `found` matches drops letters."""
    if not regex:
        return True
    if any(c.isascii() and c.isalpha() for c in _CLASSES.sub("", _SHORT.sub("", _CONTROL.sub("", _decoded(found))))):
        return True
    compiled = _compiled(found)
    return compiled is not None and any(c.isalpha() for c in compiled.sub("", SAMPLE))


def _decoded(pattern: str) -> str:
    """`pattern` with letters that are written as numbers."""
    return _CODES.sub(lambda m: chr(min(int(next(filter(None, m.groups())), 16), 0x10FFFF)), pattern)


def _compiled(pattern: str) -> re.Pattern[str] | None:
    """`pattern` for Python's engine, with its own classes for those of Unicode; None where that cannot be, or could take long."""
    for written, meant in (
        (r"\p{N}", r"\d"),
        (r"\p{Nd}", r"\d"),
        (r"\p{P}", r"!-/:-@"),
        (r"\p{S}", r"+<=>$^"),
        (r"\p{Z}", r"\s"),
        (r"\p{Lu}", "A-Z"),
        (r"\p{Ll}", "a-z"),
    ):
        pattern = pattern.replace(written, meant)
    pattern = re.sub(r"\\p\{(?:L|Letter|Latin|Alphabetic)\}", r"A-Za-z", pattern)
    pattern = re.sub(r"\\[pP]\{[^}]{1,40}\}", "\u0378", pattern)  # scripts and marks that the sample has none of
    pattern = re.sub(r"(?<!\[)(?<!-z)(?<!\\)A-Za-z(?![^\[]*\])", "[A-Za-z]", pattern)
    if len(pattern) > LONGEST or can_hang(pattern):
        return None
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return None


def _put_in(step: dict[str, Any], names: dict[int, str]) -> Iterator[str]:
    """Ordinary words that a post-processor puts into every text, under their own name or another."""
    named = step["SpecialToken"].get("id") if isinstance(step.get("SpecialToken"), dict) else None
    if isinstance(named, str) and plain(named):
        yield f"post_processor puts {named!r} into every text"
    put: list[tuple[Any, Any]] = []
    for token in step["special_tokens"].values() if isinstance(step.get("special_tokens"), dict) else ():
        if isinstance(token, dict) and isinstance(token.get("ids"), list):
            written = token.get("tokens")
            complete = isinstance(written, list) and len(written) == len(token["ids"])
            put += zip(written if complete else [token.get("id")] * len(token["ids"]), token["ids"], strict=False)  # type: ignore[arg-type]
    if step.get("type") in ("BertProcessing", "RobertaProcessing"):
        put += [tuple(step[f]) for f in ("cls", "sep") if isinstance(step.get(f), list) and len(step[f]) == 2]
    for name, number in put:
        token = names.get(number) if isinstance(number, int) else None
        if token is not None and plain(token):
            yield f"post_processor puts {token!r} into every text" + ("" if token == name else f", under the name {name!r}")
        elif token is not None and token != name and _letters(token):
            yield f"post_processor puts {token!r} into every text under the name {name!r}"
        elif token is None and isinstance(name, str) and plain(name):
            yield f"post_processor puts {name!r} into every text"
