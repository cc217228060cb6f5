"""Every rule of the static probes is raised somewhere in these tests, and none by a clean adapter."""

from __future__ import annotations

from pathlib import Path

import pytest

from probes.card import CardProbe
from probes.checksums import ChecksumsProbe
from probes.code import CodeProbe
from probes.config import ConfigProbe
from probes.known import KnownProbe
from probes.loading import LoadingProbe
from probes.signature import SignatureProbe
from probes.spectrum import SpectrumProbe
from probes.wrapper import WrapperProbe
from scanner.probe import Probe
from scanner.scan import scan
from scanner.verdict import Outcome
from tests.adapters import documented

STATIC: tuple[Probe, ...] = (
    CardProbe(),
    ChecksumsProbe(),
    CodeProbe(),
    ConfigProbe(),
    KnownProbe(),
    LoadingProbe(),
    SignatureProbe(),
    SpectrumProbe(),
    WrapperProbe(),
)


@pytest.mark.parametrize("probe", STATIC, ids=lambda p: p.id)
def test_every_declared_rule_is_named_in_the_tests_of_its_probe(probe: Probe) -> None:
    text = (Path(__file__).parent / f"test_{probe.id}.py").read_text()
    assert [r.id for r in probe.rules if f'"{r.id}"' not in text] == []


def test_a_clean_adapter_raises_nothing(tmp_path: Path) -> None:
    result = scan(documented(tmp_path / "a"))
    assert result.findings == ()
    assert result.verdict.outcome is Outcome.PASS
