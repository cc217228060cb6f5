"""Regular expressions in the configuration: which fields are used as such, and whether matching one can take exponential time."""

from __future__ import annotations

import re
import re._compiler as _compiler  # type: ignore[import-not-found]
import re._constants as _constants  # type: ignore[import-not-found]
from collections.abc import Iterator
from typing import Any

from probes.config.claim import Claim, Claims
from probes.config.rules import BROKEN_PATTERN, PATTERN
from probes.config.steps import Effort, apart, inside
from scanner.files.pattern import LooksAround, Unjudged, matcher, parsed
from scanner.files.text import printable

TEXTS = ("target_modules", "exclude_modules", "layers_pattern", "modules_to_save", "feedforward_modules", "target_parameters")
KEYS = ("rank_pattern", "alpha_pattern", "n_frequency_pattern", "block_size_pattern", "lambda_pattern", "trainable_token_indices")
LONGEST = 20_000
MOST_IN_A_ROW = 4
"""Unbounded repeats of anything with nothing certain between them: the time grows with that power of a name's length."""
MOST_REPEATS = 12
MANY = 8
"""As many times as this, a repeat counts as one without bound."""
_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)
_ANYTHING = (_constants.ANY, _constants.NOT_LITERAL)
AROUND = {
    **dict.fromkeys(KEYS, r"(.*\.)?({})$"),
    "modules_to_save": r"(^|.*\.){}($|\..*)",
    "layers_pattern": r"(?:^|.*?\.){}\.(?P<idx>\d+)\.",
}
"""What PEFT puts around the text of a field; other texts it takes as they are."""
_NAME = re.compile(r"[\w.-]*", re.ASCII)


def patterns(raw: dict[str, Any]) -> Claims:
    """Every pattern that can hang, at most one for each field."""
    told: set[str] = set()
    effort = Effort()
    for field, text in texts(raw):
        if field not in told and (len(text) > LONGEST or can_hang(text, AROUND.get(field, "{}"), effort)):
            told.add(field)
            yield Claim(PATTERN, field, f"{field}: {printable(text, 120)}")
    for field, text in texts(raw):
        if field not in told and (field in AROUND or not isinstance(raw.get(field), list)) and (problem := unjudged(text, AROUND.get(field, "{}"))):
            told.add(field)
            yield Claim(BROKEN_PATTERN, field, f"{field}: {printable(text, 120)} ({problem})")


def texts(raw: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every string of the configuration that PEFT uses as a regular expression, with its field."""
    nested = raw.get("use_bdlora")
    blocks = [nested.get(f"target_modules_bd_{x}") for x in "ab"] if isinstance(nested, dict) else []
    for field, value in [*((f, raw.get(f)) for f in TEXTS), *(("use_bdlora", b) for b in blocks)]:
        for text in [value] if isinstance(value, str) else value if isinstance(value, list) else []:
            if isinstance(text, str):
                yield field, text
    for field in KEYS:
        if isinstance(raw.get(field), dict):
            for key in raw[field]:
                yield field, key


def unjudged(pattern: str, around: str = "{}") -> str:
    """Why `pattern`, with what PEFT puts `around` it, cannot be judged, or an empty string; looking ahead or behind is honest."""
    if len(pattern) > LONGEST or _NAME.fullmatch(pattern):
        return ""
    try:
        matcher(around.replace("{}", pattern))
    except LooksAround:
        return ""
    except Unjudged as error:
        return str(error)
    return ""


def can_hang(pattern: str, around: str = "{}", effort: Effort | None = None) -> bool:
    """Whether `pattern` repeats, without bound, something that repeats or branches, or anything many times over, or else takes too many steps.

    `effort` is what counting steps has come to for other patterns.
    """
    if _NAME.fullmatch(pattern):
        return False
    try:
        tree = parsed(around.replace("{}", pattern), doubtful=True)
    except Unjudged:
        return False  # re refuses it too, in one error
    try:
        return _nested(tree) or _power(tree) or (effort or Effort()).hangs(tree)
    except RecursionError:
        return True


def _nested(parts: Any) -> bool:
    """Whether something is repeated without bound that can match one text in several ways."""
    for kind, value in parts:
        if kind in _REPEATS and _unbounded(value) and _ambiguous(value[2]):
            return True
        if any(_nested(inner) for inner in inside(kind, value)):
            return True
    return False


def _unbounded(value: Any) -> bool:
    return value[1] is _constants.MAXREPEAT or value[1] >= MANY


def _ambiguous(body: Any) -> bool:
    """Whether repeating `body` can split one text in several ways: what varies in it is not closed off by a certain character it cannot match."""
    certain: set[int] = set()
    varying: list[Any] = []
    stack = [body]
    while stack:
        for kind, value in stack.pop():
            if kind is _constants.LITERAL:
                certain.add(value)
            elif kind in _REPEATS and value[0] == value[1]:
                stack.append(value[2])  # as many times each time
            elif kind in _REPEATS:
                varying.append(value[2])
            elif kind is _constants.SUBPATTERN:
                stack.append(value[-1])
            elif kind is _constants.BRANCH and not apart(value[1]):
                return True
            elif kind is _constants.BRANCH:
                varying += [v[2] for b in value[1] for k, v in b if k in _REPEATS]
    return bool(varying) and not any(all(_excludes(v, c) for v in varying) for c in certain)


def _excludes(inner: Any, character: int) -> bool:
    """Whether `inner` is one character, or one out of a set, that is not `character`."""
    parts = list(inner)
    if len(parts) != 1 or parts[0][0] not in (_constants.LITERAL, _constants.NOT_LITERAL, _constants.IN):
        return False
    return _compiler.compile(inner, 0).fullmatch(chr(character)) is None


def _power(parts: Any) -> bool:
    """Whether one way through the pattern has many unbounded repeats of anything."""
    in_a_row = total = 0
    stack = [iter(tuple(parts))]
    while stack:
        part: Any = next(stack[-1], (None, None))
        kind, value = part
        if kind is None:
            stack.pop()
        elif kind in _REPEATS and value[1] is _constants.MAXREPEAT and _anything(value[2]):
            in_a_row, total = in_a_row + 1, total + 1
            if in_a_row >= MOST_IN_A_ROW or total > MOST_REPEATS:
                return True
        elif kind is _constants.SUBPATTERN:
            stack.append(iter(tuple(value[-1])))
        elif kind is not _constants.AT:
            if any(_power(inner) for inner in inside(kind, value)):
                return True
            in_a_row = 0
    return False


def _anything(inner: Any) -> bool:
    """Whether what is repeated is one character out of very many."""
    parts = list(inner)
    if len(parts) == 1 and parts[0][0] is _constants.SUBPATTERN:
        return _anything(parts[0][1][-1])
    if len(parts) != 1:
        return False
    kind, value = parts[0]
    if kind is _constants.IN:
        return any(v[0] in (_constants.CATEGORY, _constants.NEGATE, _constants.RANGE) for v in value)
    return kind in _ANYTHING
