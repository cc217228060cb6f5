"""Which modules of a base an adapter's configuration asks for, matched as PEFT matches them but in RE2, which is linear in the text."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import re2

LONGEST_PATTERN = 4000


class Targets:
    """`target_modules`, `exclude_modules`, `layers_to_transform` and `modules_to_save` of one configuration."""

    def __init__(self, raw: dict[str, Any]) -> None:
        """`raw` is the configuration as written; ill-typed fields count as unknown."""
        self._wanted, self._excluded = raw.get("target_modules"), raw.get("exclude_modules")
        self._layers, self._layers_pattern = raw.get("layers_to_transform"), raw.get("layers_pattern")
        self._saved = [s for s in _strings(raw.get("modules_to_save")) if s]

    def covers(self, module: str) -> bool | None:
        """Whether PEFT puts its layer around `module`; None where that depends on the model or cannot be decided."""
        excluded = _any(self._excluded, module) if self._excluded else False
        if excluded or any(_matches(rf"(^|.*\.){s}($|\..*)", module) for s in self._saved):
            return False
        if not self._wanted or self._wanted == "all-linear":
            return None
        found = _any(self._wanted, module)
        if found and isinstance(self._wanted, list) and module not in self._wanted and self._layers not in (None, []):
            found = self._layer(module)
        return None if excluded is None and found else found

    def saves(self, module: str) -> bool:
        """Whether `module` is, or lies in, one that modules_to_save replaces as a whole."""
        parts = module.split(".")
        return any(".".join(parts[: i + 1]).endswith(s) for i in range(len(parts)) for s in self._saved)

    def _layer(self, module: str) -> bool | None:
        wanted = self._layers if isinstance(self._layers, list) else [self._layers]
        patterns = _strings(self._layers_pattern)
        if not patterns:
            found = re.match(r".*?\.[^.]*\.(\d+)\.", module)
            return found is not None and int(found[1]) in wanted
        for pattern in patterns:
            compiled = _compiled(rf"(?:^|.*?\.){pattern}\.(?P<idx>\d+)\.")
            if compiled is None:
                return None
            found = compiled.match(module)
            if found:
                return int(found["idx"]) in wanted
        return False


def _strings(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [v for v in value if isinstance(v, str)] if isinstance(value, list) else []


def _any(wanted: Any, module: str) -> bool | None:
    if isinstance(wanted, str):
        return _matches(rf"(?:{wanted})$", module)
    return any(module == w or module.endswith(f".{w}") for w in _strings(wanted))


def _matches(pattern: str, text: str) -> bool | None:
    compiled = _compiled(pattern)
    return None if compiled is None else compiled.match(text) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        return re2.compile(pattern, options) if len(pattern) <= LONGEST_PATTERN else None
    except (re2.error, UnicodeError):
        return None
