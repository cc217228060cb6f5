"""Chat templates rendered on fixed conversations, each in a process of its own with limits on time, memory and output."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

import probes

DEADLINE = 20.0
"""Seconds on the wall for one process; its own limit is four of processor time."""
MOST = 8
MOST_EXCEEDED = 2
"""Templates that break a limit before the rest is no longer rendered."""
LARGEST_ANSWER = 8 * 1024 * 1024
READY = b"ready\n"
START = "import sys; sys.path.insert(0, sys.argv[1]); from probes.wrapper.sandbox import main; main()"
"""What the process runs: this package, wherever it lies, and nothing of the environment or of the folder it is started in."""
NEEDED = ("SYSTEMROOT",)
"""What Python needs of the environment on some systems; nothing else is passed on."""


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


class Unavailable(Exception):
    """The process that renders could not be started."""


def render(templates: Sequence[str], tokens: dict[str, str]) -> list[Rendered]:
    """Render each of `templates`, at most MOST of them and until MOST_EXCEEDED broke a limit; a tenth of a second for the first, a few milliseconds for each further one.

    `tokens` are variables such as `bos_token`. Raises Unavailable when nothing can be rendered here.
    """
    left, done = list(templates[:MOST]), list[Rendered]()
    while left:
        answers, why = _run(left, tokens)
        done += answers
        left = left[len(answers) :]
        if left:
            done.append(Rendered(exceeded=why))
            left = left[1:]
            if sum(bool(d.exceeded) for d in done) == MOST_EXCEEDED:
                return done + [Rendered(problem="other templates broke the limits, so that it was not rendered")] * len(left)
    return done


def _run(templates: Sequence[str], tokens: dict[str, str]) -> tuple[list[Rendered], str]:
    """The answers for the first templates, up to one that broke a limit, and which one that was."""
    request = msgspec.json.encode({"templates": list(templates), "tokens": tokens})
    command = [sys.executable, "-I", "-c", START, str(Path(probes.__file__).parents[1])]
    why = "its time"
    try:
        kept = {name: os.environ[name] for name in NEEDED if name in os.environ}
        done = subprocess.run(command, input=request, capture_output=True, timeout=DEADLINE, check=False, env=kept)
        output, said = done.stdout, done.stderr
        why = "its time" if done.returncode < 0 else "its memory"
    except subprocess.TimeoutExpired as error:
        output, said = error.stdout or b"", b"no answer in time"
    except OSError as error:
        raise Unavailable(error.strerror) from None
    if not output.startswith(READY):
        raise Unavailable(said.decode("utf-8", "replace").strip().rpartition("\n")[2] or "no answer")
    answers = []
    for line in output[len(READY) : LARGEST_ANSWER].split(b"\n")[:-1]:
        try:
            answers.append(msgspec.json.decode(line, type=Rendered))
        except msgspec.DecodeError:
            break
    return answers, why
