"""Every rule of the static probes is raised somewhere in these tests, and none by a clean adapter."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner.probe import Need, Probe, probes
from scanner.scan import scan
from scanner.verdict import Outcome
from tests.adapters import documented


@pytest.mark.parametrize("probe", [p for p in probes() if p.needs <= Need.DELTA], ids=lambda p: p.id)
def test_every_declared_rule_is_named_in_the_tests_of_its_probe(probe: Probe) -> None:
    text = "".join(p.read_text() for p in sorted(Path(__file__).parent.glob(f"test_{probe.id}*.py")))
    assert [r.id for r in probe.rules if f'"{r.id}"' not in text] == []


def test_a_clean_adapter_raises_nothing(tmp_path: Path) -> None:
    result = scan(documented(tmp_path / "a"))
    assert result.findings == ()
    assert result.verdict.outcome is Outcome.PASS
