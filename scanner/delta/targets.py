"""Which modules of a base an adapter's configuration asks for, matched as PEFT matches them."""

from __future__ import annotations

from typing import Any

from scanner.files.pattern import Pattern, Unjudged, matcher

ALL_LINEAR = "all-linear"
"""PEFT's word for every linear module, in any case."""
LONGEST_PATTERN = 10_000
MOST_SAVED = 64
MOST_PARTS = 64
MOST_DIGITS = 20
MOST_EFFORT = 500_000_000
"""Characters of patterns times characters of names: a few seconds where RE2 is slowest."""


class Targets:
    """`target_modules`, `exclude_modules`, `layers_to_transform` and `modules_to_save` of one configuration."""

    def __init__(self, raw: dict[str, Any]) -> None:
        """`raw` is the configuration as written; ill-typed fields count as unknown, and of modules_to_save the first 64 names."""
        self._wanted, self._excluded = Names(raw.get("target_modules")), Names(raw.get("exclude_modules"))
        layers, pattern = raw.get("layers_to_transform"), raw.get("layers_pattern")
        self._layers = [n for n in (layers if isinstance(layers, list) else [layers]) if type(n) is int]
        layered = [rf"(?:^|.*?\.){p}\.(?P<idx>\d+)\." for p in (_strings(pattern) if pattern else [])]
        self._layers_patterns = layered[:MOST_SAVED] or [r".*?\.[^.]*\.(?P<idx>\d+)\."]
        saved = [s for s in _strings(raw.get("modules_to_save")) if s]
        self.many = len(saved) > MOST_SAVED or len(layered) > MOST_SAVED
        """Whether there is more to match than is matched."""
        self._saved = tuple(saved[:MOST_SAVED])
        self._around = [rf"(^|.*\.){s}($|\..*)" for s in self._saved]
        self._effort = sum(map(len, self._saved)) + sum(len(n.pattern or "") for n in (self._wanted, self._excluded))
        self._spent = 0
        self._known: dict[str, bool | None] = {}

    def covers(self, module: str) -> bool | None:
        """Whether PEFT puts its layer around `module`; None where that depends on the model or cannot be decided."""
        if module not in self._known:
            self._known[module] = self._covers(module)
        return self._known[module]

    def _covers(self, module: str) -> bool | None:
        self._spent += self._effort * len(module)
        if self._spent > MOST_EFFORT:
            self.many = True
            return None
        excluded = self._excluded.match(module) if self._excluded.given else False
        around = [_matches(p, module) for p in self._around]
        if excluded or True in around:
            return False
        if not self._wanted.given or (self._wanted.pattern or "").lower() == ALL_LINEAR:
            return None
        found = self._wanted.match(module)
        if found and self._layers and self._wanted.pattern is None and module not in self._wanted.listed:
            found = self._layer(module)
        return None if (excluded is None or None in around) and found else found

    def saves(self, module: str) -> bool:
        """Whether `module` is, or lies in, one that modules_to_save replaces as a whole."""
        return bool(self._saved) and any(part.endswith(self._saved) for part in _beginnings(module))

    def _layer(self, module: str) -> bool | None:
        for pattern in self._layers_patterns:
            try:
                found = _matcher(pattern).match(module)
            except Unjudged:
                return None
            if found:
                return len(found["idx"]) < MOST_DIGITS and int(found["idx"]) in self._layers
        return False


class Names:
    """A list of names that ends of module names are compared with, or one pattern for whole names."""

    def __init__(self, value: Any) -> None:
        """A string is a pattern; anything but a string or a list of strings is nothing."""
        self.pattern = value if isinstance(value, str) and value else None
        self.listed = frozenset(_strings(value)) if isinstance(value, list) else frozenset()
        self.given = self.pattern is not None or bool(self.listed)

    def match(self, module: str) -> bool | None:
        """Whether `module` is one of them; None where that cannot be judged."""
        if self.pattern is not None:
            return _matches(self.pattern, module, whole=True)
        return not self.listed.isdisjoint(_ends(module))


def _ends(module: str) -> list[str]:
    """The name and what stands after each of its first dots."""
    ends = [module]
    while len(ends) < MOST_PARTS and "." in ends[-1]:
        ends.append(ends[-1].partition(".")[2])
    return ends


def _beginnings(module: str) -> list[str]:
    """The name and what stands before each of its last dots."""
    found = [module]
    while len(found) < MOST_PARTS and "." in found[-1]:
        found.append(found[-1].rpartition(".")[0])
    return found


def _strings(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [v for v in value if isinstance(v, str)] if isinstance(value, list) else []


def _matches(pattern: str, module: str, whole: bool = False) -> bool | None:
    """Whether Python's `re.match`, or `re.fullmatch`, finds the pattern; None where that cannot be judged."""
    try:
        found = _matcher(pattern)
        return found.fullmatch(module) if whole else found.match(module) is not None
    except Unjudged:
        return None


def _matcher(pattern: str) -> Pattern:
    if len(pattern) > LONGEST_PATTERN:
        raise Unjudged("too long")
    return matcher(pattern)
