"""Published scanners, run as they are, each in a virtual environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from benchmarks.detectors.detector import Detector, Vector

ADAPTERSENTRY = "ADAPTERSENTRY"
VERDICTS = {"allow": 0.0, "review": 1.0, "block": 2.0}


def _adaptersentry(folder: Path, work: Path) -> Vector | None:
    """AdapterSentry's verdict; the environment variable ADAPTERSENTRY names its command, `adaptersentry` where unset."""
    report = work / "adaptersentry.json"
    command = [os.environ.get(ADAPTERSENTRY, "adaptersentry"), "scan", str(folder / "adapter_model.safetensors"), "--format", "full-json", "--output", str(report)]
    done = subprocess.run(command, check=False, capture_output=True, timeout=300, text=True)
    if not report.exists():
        return None if done.returncode == 1 else _fail(done)
    verdict = json.loads(report.read_text())
    found = verdict.get("verdict", verdict.get("decision"))
    return [VERDICTS[found["verdict"] if isinstance(found, dict) else found]]


def _fail(done: subprocess.CompletedProcess[str]) -> None:
    raise RuntimeError(f"adaptersentry: exit {done.returncode}: {done.stderr[-300:]}")


DETECTORS = (Detector("AdapterSentry 2.0.2", "package, run as published: allow 0, review 1, block 2", _adaptersentry, threshold=1.0),)
