"""An adapter as a probe sees it, for measurements of one probe by itself, and the measuring of several."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.machine import machine
from scanner.delta import delta as deltas
from scanner.demo.base import open_base
from scanner.files.adapter import Adapter
from scanner.model.base import Base
from scanner.model.deployment import Deployment
from scanner.policy import Policy
from scanner.profile import PROFILES
from scanner.progress import Reporter
from scanner.subject import Subject


def subject_of(folder: Path, base: Base, profile: str, deployment: Deployment | None = None) -> Subject:
    """The adapter in `folder` on `base`, under the default policy and seed 0; the model is loaded when it is asked for, unless `deployment` is given."""
    opened = Adapter.open(folder)
    delta = deltas.read(opened, base)
    return Subject(opened, delta, base, PROFILES[profile], Policy.open(), 0, Reporter(quiet=True), lambda: deployment or Deployment(base, delta))


def measure_each(
    adapters: Sequence[Path], output: Path, what: str, measure: Callable[[Path, Base], dict[str, Any]], told: Callable[[dict[str, Any]], str]
) -> None:
    """Measure `adapters` on the demo base; what is found is written to `output` after each, by their names, and `told` in a line."""
    base = open_base()
    found: dict[str, Any] = {}
    for folder in adapters:
        found[folder.name] = measure(folder, base)
        click.echo(f"{folder.name:36} {told(found[folder.name])}")
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps({"what": what, "machine": machine(), "adapters": found}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
