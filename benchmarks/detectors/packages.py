"""Published scanners, run as they are, each in a virtual environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.detectors.detector import Detector, Vector

ADAPTERSENTRY = "ADAPTERSENTRY"
VERDICTS = {"allow": 0.0, "review": 1.0, "block": 2.0}


def _adaptersentry(read: Callable[[dict[str, Any]], float | None]) -> Callable[[Path, Path], Vector | None]:
    """A number from AdapterSentry's report; the environment variable ADAPTERSENTRY names its command, `adaptersentry` where unset."""

    def measure(folder: Path, work: Path) -> Vector | None:
        report = work / "adaptersentry.json"
        command = [os.environ.get(ADAPTERSENTRY, "adaptersentry"), "scan", str(folder / "adapter_model.safetensors")]
        done = subprocess.run([*command, "--format", "full-json", "--output", str(report)], check=False, capture_output=True, timeout=300, text=True)
        found = json.loads(report.read_text()) if report.exists() else {}
        report.unlink(missing_ok=True)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"adaptersentry: exit {done.returncode}: {done.stderr[-300:]}")
        value = read(found) if found.get("status") in ("ok", "degraded") else None
        return None if value is None else [value]

    return measure


def _concentration(report: dict[str, Any]) -> float | None:
    compared = report["anomaly"]["intra"]
    return None if compared is None or compared["max_concentration_z"] is None else float(compared["max_concentration_z"])


_WHAT = "PyPI's adaptersentry 2.0.2, run as published: "
DETECTORS = (
    Detector("AdapterSentry verdict", _WHAT + "allow 0, review 1, block 2", _adaptersentry(lambda r: VERDICTS[r["verdict"]["action"]]), threshold=1.0),
    Detector(
        "AdapterSentry concentration",
        _WHAT + "its largest concentration z",
        _adaptersentry(_concentration),
        threshold=14.0,
    ),
)
