"""One thing a check says about one field."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from scanner.rule import Rule, Severity


class Claim(msgspec.Struct, frozen=True):
    """A rule, the field it is about, and what was seen, fit to print; `severity` where it is not the rule's."""

    rule: Rule
    field: str
    message: str
    severity: Severity | None = None


Claims = Iterator[Claim]
