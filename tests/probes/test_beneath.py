from __future__ import annotations

from pathlib import Path

import numpy as np

from probes.beneath import BeneathProbe
from scanner.measurement import Coverage, Status, Table
from scanner.rule import Severity
from scanner.scan import scan
from scanner.verdict import Outcome
from tests.adapters import adapter, raised, subject, tensors

OVERWRITE = {"base_model.model.model.norm.weight": np.ones(8, np.float32)}


def test_an_adapter_below_that_overwrites_the_base_stops_the_scan(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    adapter(folder / "checkpoint-5", tensors() | OVERWRITE)
    (found,) = raised(BeneathProbe(), folder)
    assert (found.rule, found.severity, found.location.file) == ("adapter-beneath", Severity.CRITICAL, "checkpoint-5/adapter_model.safetensors")
    assert "base-overwrite" in found.message
    assert scan(folder).verdict.outcome is Outcome.BLOCK


def test_honest_checkpoints_are_listed_and_nothing_else(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    adapter(folder / "checkpoint-5", tensors(seed=1))
    adapter(folder / "checkpoint-9")
    items = list(BeneathProbe().run(subject(folder)))
    (table,) = [i for i in items if isinstance(i, Table)]
    assert [(r[0], r[2], r[3]) for r in table.rows] == [("checkpoint-5", 2, "nothing found"), ("checkpoint-9", 2, "nothing found")]
    assert raised(BeneathProbe(), folder) == []
    assert scan(folder).verdict.outcome is not Outcome.INCOMPLETE


def test_one_that_cannot_be_read_is_not_measured_by_name(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (adapter(folder / "b") / "adapter_model.safetensors").unlink()
    (coverage,) = [i for i in BeneathProbe().run(subject(folder)) if isinstance(i, Coverage)]
    assert (coverage.status, coverage.why[:2]) == (Status.NOT_MEASURED, "b:")
