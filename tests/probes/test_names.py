from __future__ import annotations

from pathlib import Path

import pytest

from probes.names import NamesProbe
from scanner.rule import Severity
from tests.adapters import adapter, raised


@pytest.mark.parametrize(
    ("name", "rule", "severity"),
    [
        ("CON.txt", "file-name-unsafe", Severity.MEDIUM),
        ("-rf", "file-name-unsafe", Severity.MEDIUM),
        ("a\\b", "file-name-unsafe", Severity.MEDIUM),
        ("config.json.", "file-name-unsafe", Severity.MEDIUM),
        ("log-12:30:00.txt", "file-name-unsafe", Severity.LOW),
        ("Adapter_Config.json", "file-name-twin", Severity.MEDIUM),
    ],
)
def test_names_that_are_not_the_same_everywhere(name: str, rule: str, severity: Severity, tmp_path: Path) -> None:
    (adapter(tmp_path / "a") / name).write_text("{}")
    (found,) = raised(NamesProbe(), tmp_path / "a")
    assert (found.rule, found.severity) == (rule, severity)


def test_ordinary_names_are_nothing(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    for name in ("README.md", "auxiliary.txt", "console.log", "events.out.tfevents.1700000000.host.1.0", ".gitattributes", "a b.txt"):
        (folder / name).write_text("x")
    assert raised(NamesProbe(), folder) == []
