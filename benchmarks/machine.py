"""The machine a figure was measured on, as every committed result names it."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("unmask", "torch", "transformers", "peft", "numpy", "safetensors")


def machine() -> dict[str, str]:
    """Processor, cores, platform, and versions of the packages that matter."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    found = {"processor": model, "cores": str(os.cpu_count()), "platform": f"{platform.system()} {platform.machine()}", "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
