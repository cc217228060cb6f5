"""JSON from strangers: bounded in size and depth, duplicate keys reported, never a crash."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

DEEPEST = 64
_STRING_OR_BRACKET = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{\]}]', re.DOTALL)


class BadJson(ValueError):
    """The text is not the JSON object that was expected; the message says why, in one line."""


def load_object(data: bytes, largest: int) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Parse a JSON object; returns it with the names of keys that occur twice (the last one wins, as in Python).

    Raises BadJson when the text is over `largest` bytes, nested deeper than 64, not UTF-8, not JSON, holds
    a non-finite number, or is not an object.
    """
    if len(data) > largest:
        raise BadJson(f"{len(data):,} bytes of JSON, more than the {largest:,} allowed")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadJson(f"not UTF-8 at byte {error.start}") from None
    depth = deepest = 0
    for mark in _STRING_OR_BRACKET.findall(text):
        if mark in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in "]}":
            depth -= 1
    if deepest > DEEPEST:
        raise BadJson(f"nested {deepest} deep, more than the {DEEPEST} allowed")
    twice: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in items:
            if key in seen:
                twice.append(key)
            seen[key] = value
        return seen

    def constant(name: str) -> NoReturn:
        raise BadJson(f"the number {name} is not JSON")

    def number(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            constant(text[:40])
        return value

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_float=number)
    except json.JSONDecodeError as error:
        raise BadJson(f"not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise BadJson(str(error).splitlines()[0]) from None
    if not isinstance(value, dict):
        raise BadJson(f"a JSON {type(value).__name__}, not an object")
    return value, tuple(twice)
