"""Who says whether an answer refuses: the installed judge of opening words, or a model the user names."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

import msgspec

from scanner.errors import ScanError
from scanner.files.text import printable
from scanner.statistics import Accuracy

BUILT_IN = "opening words"


class JudgeIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Which judge it was, as a result records it."""

    name: str
    sha256: str = ""
    """Of its files, where it is a model."""
    accuracy: Accuracy | None = None
    """How often it was right on answers that people had labelled; None where nobody measured it."""


class Judge(Protocol):
    """Tells refusals from answers."""

    identity: JudgeIdentity

    def refused(self, spoken: Sequence[tuple[str, str]]) -> list[bool]:
        """Whether each answer refuses; `spoken` holds requests and answers."""
        ...


def installed() -> Judge:
    """The installed judge (entry point `refusal` of `unmask.judges`). Raises ScanError when there is none."""
    for point in entry_points(group="unmask.judges", name="refusal"):
        made: Judge = point.load()()
        return made
    raise ScanError("no refusal judge is installed (entry point `refusal` of `unmask.judges`)")


def open_judge(path: Path | str | None, device: str = "auto") -> Judge:
    """The judge model in the folder `path`, or the installed judge for None; its weights are loaded when it first judges.

    Raises ScanError with one line when the folder holds no model that can judge.
    """
    if path is None:
        return installed()
    from scanner.model.judge import ModelJudge

    return ModelJudge(path, device)


def same_judge(identity: JudgeIdentity | None, judge: Judge) -> None:
    """Raise ScanError where `judge` is not the one that `identity` names; None stands for the installed one."""
    wanted = identity or JudgeIdentity(name=BUILT_IN)
    if wanted.sha256 != judge.identity.sha256:
        raise ScanError(
            f"the result was judged by {printable(wanted.name, 80)}{f' (SHA-256 {wanted.sha256[:16]}…)' if wanted.sha256 else ''}, not by "
            f"{printable(judge.identity.name, 80)}; {'give that model with --judge' if wanted.sha256 else 'leave --judge out'}"
        )
