"""Which modules of a base an adapter's configuration asks for, matched as PEFT matches them but in RE2, which is linear in the text."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2

LONGEST_PATTERN = 1000
MOST_SAVED = 64
MOST_PARTS = 64
MOST_EFFORT = 500_000_000
"""Characters of patterns times characters of names: a few seconds where RE2 is slowest."""


class Targets:
    """`target_modules`, `exclude_modules`, `layers_to_transform` and `modules_to_save` of one configuration."""

    def __init__(self, raw: dict[str, Any]) -> None:
        """`raw` is the configuration as written; ill-typed fields count as unknown, and of modules_to_save the first 64 names."""
        self._wanted, self._excluded = Names(raw.get("target_modules")), Names(raw.get("exclude_modules"))
        layers, pattern = raw.get("layers_to_transform"), raw.get("layers_pattern")
        self._layers = [n for n in (layers if isinstance(layers, list) else [layers]) if type(n) is int]
        self._layers_patterns = [rf"(?:^|.*?\.){p}\.(\d+)\." for p in _strings(pattern)][:MOST_SAVED] or [r".*?\.[^.]*\.(\d+)\."]
        saved = [s for s in _strings(raw.get("modules_to_save")) if s]
        self.many = len(saved) > MOST_SAVED
        """Whether there is more to match than is matched."""
        self._saved = tuple(saved[:MOST_SAVED])
        self._around = [p for s in self._saved if (p := _compiled(rf"(^|.*\.){s}($|\..*)")) is not None]
        self._effort = sum(map(len, self._saved)) + sum(len(n.pattern or "") for n in (self._wanted, self._excluded))
        self._spent = 0

    def covers(self, module: str) -> bool | None:
        """Whether PEFT puts its layer around `module`; None where that depends on the model or cannot be decided."""
        self._spent += self._effort * len(module)
        if self._spent > MOST_EFFORT:
            self.many = True
            return None
        excluded = self._excluded.match(module) if self._excluded.given else False
        if excluded or any(p.match(module) for p in self._around):
            return False
        if not self._wanted.given or self._wanted.pattern == "all-linear":
            return None
        found = self._wanted.match(module)
        if found and self._layers and self._wanted.pattern is None and module not in self._wanted.listed:
            found = self._layer(module)
        return None if excluded is None and found else found

    def saves(self, module: str) -> bool:
        """Whether `module` is, or lies in, one that modules_to_save replaces as a whole."""
        return bool(self._saved) and any(part.endswith(self._saved) for part in _beginnings(module))

    def _layer(self, module: str) -> bool | None:
        for pattern in self._layers_patterns:
            compiled = _compiled(pattern)
            if compiled is None:
                return None
            found = compiled.match(module)
            if found:
                return int(found[1]) in self._layers
        return False


class Names:
    """A list of names that ends of module names are compared with, or one pattern for whole names."""

    def __init__(self, value: Any) -> None:
        """A string is a pattern; anything but a string or a list of strings is nothing."""
        self.pattern = value if isinstance(value, str) and value else None
        self.listed = frozenset(_strings(value)) if isinstance(value, list) else frozenset()
        self.given = self.pattern is not None or bool(self.listed)

    def match(self, module: str) -> bool | None:
        """Whether `module` is one of them; None where the pattern is none RE2 takes."""
        if self.pattern is not None:
            compiled = _compiled(rf"(?:{self.pattern})$")
            return None if compiled is None else compiled.match(module) is not None
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


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        return re2.compile(pattern, options) if len(pattern) <= LONGEST_PATTERN else None
    except (re2.error, UnicodeError):
        return None
