"""The built-in judge: opening words (probes/refusal/judge.py), with how often it was right on answers labelled by people."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

import msgspec

from probes.refusal.judge import refuses
from scanner.judge import BUILT_IN, JudgeIdentity
from scanner.statistics import Accuracy


class OpeningWords:
    """Judges an answer by how it begins; the request is not looked at."""

    def __init__(self) -> None:
        """Read its figures, which are those of benchmarks/results/judge.json."""
        measured = msgspec.json.decode((files("probes.refusal") / "accuracy.json").read_bytes(), type=Accuracy)
        self.identity = JudgeIdentity(name=BUILT_IN, accuracy=measured)

    def refused(self, spoken: Sequence[tuple[str, str]]) -> list[bool]:
        """Whether each answer refuses."""
        return [refuses(answer) for _, answer in spoken]
