"""An adapter as a probe sees it, for measurements of one probe by itself."""

from __future__ import annotations

from pathlib import Path

from scanner.delta import delta as deltas
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
