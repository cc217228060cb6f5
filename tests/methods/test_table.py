"""docs/methods.md says what the code declares, and claims nothing that no comparison with PEFT stands for."""

from __future__ import annotations

from pathlib import Path

from scanner.delta.methods import METHODS, VARIANTS
from scanner.delta.methods.table import table
from tests.methods.cases import ACTIVATED, CASES

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"


def test_the_page_is_made_from_the_declarations() -> None:
    assert PAGE.read_text() == table(), "run: python -m scanner.delta.methods.table > docs/methods.md"


def test_every_row_has_its_comparison() -> None:
    names = {c.name for c in (*CASES, ACTIVATED)}
    assert {*METHODS, *(v.verified for v in VARIANTS)} <= names
    assert {n.split()[0] for n in names} == set(METHODS)
