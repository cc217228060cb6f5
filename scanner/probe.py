"""The contract of a probe: a subject in, findings, measurements, tables and coverage out.

Probes are found through the entry points `unmask.probes`; a package of your own can add one.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol

from scanner.errors import ScanError
from scanner.finding import Finding
from scanner.measurement import Coverage, Measurement, Table
from scanner.policy import RULES
from scanner.rule import Rule
from scanner.subject import Subject

Yield = Finding | Measurement | Table | Coverage


class Need(IntEnum):
    """What a probe looks at; later ones need all that earlier ones do."""

    FILES = 0
    DELTA = 1
    BASE = 2
    DEPLOYMENT = 3
    SEARCH = 4
    """The deployment, at a cost that is not worth it where the verdict is decided without: left out then, if the profile says so."""


class Probe(Protocol):
    """One analysis."""

    id: str
    title: str
    needs: Need
    rules: tuple[Rule, ...]
    cost: str
    """What it costs and how that grows, in words."""

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Look at `subject`; every rule of a finding must be declared in `rules`."""
        ...


@cache
def _installed(group: str) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=group))


def probes() -> list[Probe]:
    """Installed probes, cheapest need first, then by id. Raises ScanError when one cannot be imported."""
    found: list[Probe] = []
    for point in _installed("unmask.probes"):
        try:
            found.append(point.load()())
        except Exception as error:  # a broken third-party package
            raise ScanError(f"probe {point.name}: cannot be loaded ({error})") from None
    return sorted(found, key=lambda p: (p.needs, p.id))


def rules() -> dict[str, Rule]:
    """Every rule of every installed probe and of the policy, by id. Raises ScanError when two claim one id."""
    found: dict[str, Rule] = {}
    for declared in (RULES, *(probe.rules for probe in probes())):
        for rule in declared:
            if rule.id in found:
                raise ScanError(f"the rule {rule.id} is declared twice")
            found[rule.id] = rule
    return found
