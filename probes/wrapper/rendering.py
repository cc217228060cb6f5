"""Chat templates rendered on fixed conversations, each in a process of its own with limits on time, memory and output."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import msgspec

DEADLINE = 20.0
"""Seconds on the wall for one process; its own limit is four of processor time."""
MOST = 8
LARGEST_ANSWER = 8 * 1024 * 1024


class Page(msgspec.Struct, frozen=True):
    """One conversation as the template writes it."""

    text: str
    error: str
    """What the template raised; many refuse a conversation they are not made for."""


class Rendered(msgspec.Struct, frozen=True):
    """What came of one template; every string is made by it and untrusted."""

    problem: str = ""
    """Why it does not compile."""
    exceeded: str = ""
    """Which limit an ordinary conversation broke."""
    pages: dict[str, Page] = {}
    """By name of the conversation."""
    message: tuple[str, ...] = ()
    """What the text of messages was compared with."""
    clock: tuple[str, ...] = ()
    """What the date was compared with."""


def render(templates: Sequence[str], tokens: dict[str, str]) -> list[Rendered]:
    """Render each of `templates`, at most MOST of them; a tenth of a second for the first, a few milliseconds for each further one.

    `tokens` are variables such as `bos_token`.
    """
    left, done = list(templates[:MOST]), list[Rendered]()
    while left:
        answers, why = _run(left, tokens)
        done += answers
        left = left[len(answers) :]
        if left:
            done.append(Rendered(exceeded=why))
            left = left[1:]
    return done


def _run(templates: Sequence[str], tokens: dict[str, str]) -> tuple[list[Rendered], str]:
    """The answers for the first templates, up to one that broke a limit, and which one that was."""
    request = msgspec.json.encode({"templates": list(templates), "tokens": tokens})
    command = [sys.executable, "-I", "-m", "probes.wrapper.sandbox"]
    why = "its time"
    try:
        done = subprocess.run(command, input=request, capture_output=True, timeout=DEADLINE, check=False, env={}, cwd="/")
        output = done.stdout
        why = "its time" if done.returncode < 0 else "its memory"
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
    answers = []
    for line in output[:LARGEST_ANSWER].split(b"\n")[:-1]:
        try:
            answers.append(msgspec.json.decode(line, type=Rendered))
        except msgspec.DecodeError:
            break
    return answers, why
