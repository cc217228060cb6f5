"""Every row of the table, in its order."""

from __future__ import annotations

from benchmarks.detectors import behaviour, packages, spectral, unmask

DETECTORS = {d.name: d for d in (*unmask.DETECTORS, *behaviour.DETECTORS, *packages.DETECTORS, *spectral.DETECTORS)}
