"""The scanners that are compared: how each is installed, what it is given, and what its exit codes mean."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from benchmarks.evasions.build import adapter
from benchmarks.evasions.command import UNCAUGHT

SECONDS = 60.0
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".ckpt")
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")


@dataclass(frozen=True)
class Scanner:
    """A command line. A pipeline stops where its exit code is not 0, unless `unscanned` says that the code means nothing was scanned."""

    name: str
    requirement: str
    entry: str
    default: tuple[str, ...]
    """Arguments before the path, as its documentation gives them for a gate."""
    strict: tuple[str, ...]
    """Arguments that make it stop most."""
    inputs: Callable[[Path], list[Path]]
    """What it is given for a path: one run for each; any that stops, stops the pipeline."""
    unscanned: tuple[int, ...] = ()
    note: str = ""
    extra: tuple[str, ...] = ()
    """Packages it needs and does not name."""


def whole(path: Path) -> list[Path]:
    """The path as it is."""
    return [path]


def weights(path: Path) -> list[Path]:
    """For a scanner that takes one weights file: PEFT's file of the folder, or the first there is."""
    if not path.is_dir():
        return [path]
    named = path / "adapter_model.safetensors"
    return [named] if named.exists() or named.is_symlink() else sorted(p for p in path.iterdir() if p.suffix in WEIGHTS)[:1]


def pickles(path: Path) -> list[Path]:
    """For a scanner that takes one pickle: every file of the folder that is named, or begins, like one; at most 20."""
    if not path.is_dir():
        return [path] if path.is_file() else []
    found = [Path(here) / n for here, _, names in os.walk(path) for n in sorted(names)]
    return [p for p in found if p.is_file() and (p.suffix.lower() in PICKLES or p.open("rb").read(1) == b"\x80")][:20]


UNMASK = Scanner(
    "unmask", "", "scanner.cli:main", ("scan", "--format", "json", "--output", "{output}"), ("scan", "--fail-on", "review", "--format", "json", "--output", "{output}"), whole
)  # fmt: skip
PEERS = (
    Scanner(
        "adaptersentry", "adaptersentry==2.0.2", "adaptersentry.cli.main:main", ("scan",), ("scan", "--policy", "strict", "--fail-on", "review"), weights,
        note="takes one safetensors file: it is given the adapter's; without --fail-on its exit code is 0 whatever it finds",
    ),
    Scanner("modelscan", "modelscan==0.8.8", "modelscan.cli:main", ("scan", "-p"), ("scan", "-p"), whole, unscanned=(3,), note="exit code 3 says that it supports none of the files"),
    Scanner("picklescan", "picklescan==1.0.5", "picklescan.cli:main", ("-p",), ("--strict", "-p"), whole),
    Scanner(
        "fickling", "fickling==0.1.12", "fickling.__main__:main", ("--check-safety",), ("--check-safety",), pickles, extra=("typing_extensions",),
        note="takes one pickle: it is given every file that is named or begins like one; exit code 2 says that it could not parse it, which every torch.save archive is",
    ),
    Scanner("modelaudit", "modelaudit==0.2.54", "modelaudit.__main__:_run", ("scan", "--no-cache"), ("scan", "--strict", "--no-cache"), whole),
)  # fmt: skip


def installed(scanner: Scanner) -> Path:
    """The Python of the scanner's own virtual environment, made below the user's cache folder where it is missing; unmask's is this one."""
    if not scanner.requirement:
        return Path(sys.executable)
    folder = platformdirs.user_cache_path("unmask") / "scanners" / scanner.requirement.replace("==", "-")
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", scanner.requirement, *scanner.extra], check=True)
        (folder / "installed").touch()
    return python


class Running:
    """A scanner that answers one path after another."""

    def __init__(self, scanner: Scanner, home: Path, strict: bool) -> None:
        self.scanner, self.strict, self.home = scanner, strict, home
        quiet = {"NO_COLOR": "1", "CI": "1", "HOME": str(home), "PROMPTFOO_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [str(installed(scanner)), str(Path(__file__).with_name("command.py")), scanner.entry, str(SECONDS)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | quiet,
        )  # fmt: skip

        honest = adapter(home / "honest")
        self._write((scanner.inputs(honest) or [honest])[0])

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait()

    def verdict(self, path: Path) -> dict[str, Any]:
        """stopped, passed, unscanned, crashed or hung, with the exit codes and the seconds."""
        answers = [self._ask(one) for one in self.scanner.inputs(path)]
        codes = [a["code"] for a in answers]
        found = {"exit": codes, "seconds": round(sum(a["seconds"] for a in answers), 2)}
        if None in codes:
            return found | {"outcome": "hung"}
        if any((c < 0) or UNCAUGHT in a["output"] for c, a in zip(codes, answers, strict=True)):
            return found | {
                "outcome": "crashed",
                "last": [a["output"].partition(UNCAUGHT)[0].strip().splitlines()[-1][:200] for a in answers if UNCAUGHT in a["output"]][-1:],
            }
        scanned = [c for c in codes if c not in self.scanner.unscanned]
        return found | {"outcome": "stopped" if any(scanned) else "passed" if scanned else "unscanned"}

    def _ask(self, path: Path) -> dict[str, Any]:
        self._write(path)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())  # type: ignore[union-attr]
        return answer

    def _write(self, path: Path) -> None:
        flags = [f.replace("{output}", str(self.home / "report")) for f in (self.scanner.strict if self.strict else self.scanner.default)]
        self._process.stdin.write(json.dumps([self.scanner.name, *flags, str(path)]) + "\n")  # type: ignore[union-attr]
        self._process.stdin.flush()  # type: ignore[union-attr]
