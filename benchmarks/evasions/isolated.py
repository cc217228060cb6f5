"""Scans in a process of their own, with a limit on time and memory, so that a hang, a crash or a bomb is an outcome and not an end."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from benchmarks.evasions.build import adapter, write

MEMORY = 2 << 30
"""Address space beyond the parent's; most of it is never touched."""
SECONDS = 60.0


@dataclass(frozen=True)
class Seen:
    """What one scan came to."""

    outcome: str
    """pass, review, incomplete or block; refused for a ScanError; crashed, hung or killed where there is none."""
    message: str
    """The headline, the error's line, or the end of the traceback."""
    rules: tuple[str, ...] = ()
    seconds: float = 0.0
    peak: int = 0
    """Memory the scan added to its process at its worst, in bytes."""


def scanned(path: Path) -> Seen:
    """Scan the files at `path` and render the report that people read, here; a crash is an outcome."""
    from scanner.errors import ScanError
    from scanner.report import reports
    from scanner.scan import scan

    try:
        result = scan(path)
        reports()["html"]().render(result)
    except ScanError as error:
        return Seen("refused", str(error))
    except BaseException:
        return Seen("crashed", traceback.format_exc()[-2000:])
    return Seen(str(result.verdict.outcome), result.verdict.headline, tuple(sorted({f.rule for f in result.findings})))


class Examiner:
    """A process that scans one path after another; it is replaced when it hangs or dies."""

    def __init__(self, seconds: float = SECONDS, memory: int = MEMORY, look: Callable[[Path], Seen] = scanned) -> None:
        self.seconds, self.memory, self.look = seconds, memory, look
        self._child = 0

    def __enter__(self) -> Examiner:
        """Scan one honest adapter first, so that what is imported once is not counted in a case."""
        with tempfile.TemporaryDirectory() as folder:
            path = adapter(Path(folder))
            write(path, "chat_template.jinja", "{{ messages[0].content }}")
            scanned(path)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def examine(self, path: Path) -> Seen:
        """What a scan of `path` comes to."""
        if not self._child:
            self._start()
        self._ask.write(f"{json.dumps(str(path))}\n".encode())
        started, answer = time.monotonic(), b""
        while not answer.endswith(b"\n"):
            left = self.seconds - (time.monotonic() - started)
            if left <= 0 or not select.select([self._answer], [], [], left)[0]:
                self._end()
                return Seen("hung", f"no answer in {self.seconds:g} s", seconds=self.seconds)
            part = os.read(self._answer.fileno(), 1 << 16)
            if not part:
                status = self._end()
                return Seen("killed", f"ended with status {status}", seconds=time.monotonic() - started)
            answer += part
        fields = json.loads(answer)
        return Seen(**fields | {"rules": tuple(fields["rules"]), "seconds": time.monotonic() - started})

    def _start(self) -> None:
        ask_end, ask = os.pipe()
        answer, answer_end = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            os.close(ask)
            os.close(answer)
            self._serve(ask_end, answer_end)
        os.close(ask_end)
        os.close(answer_end)
        self._ask, self._answer = os.fdopen(ask, "wb", buffering=0), os.fdopen(answer, "rb", buffering=0)

    def _serve(self, asked: int, answers: int) -> None:
        limit = _pages(0) + self.memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        with os.fdopen(asked, "rb") as questions, os.fdopen(answers, "wb", buffering=0) as out:
            for question in questions:
                Path("/proc/self/clear_refs").write_text("5")
                before = _pages(1)
                seen = asdict(self.look(Path(json.loads(question))))
                seen["peak"] = max(0, _peak() - before)
                out.write(json.dumps(seen).encode() + b"\n")
        os._exit(0)

    def _end(self) -> int:
        if not self._child:
            return 0
        self._ask.close()
        self._answer.close()
        os.kill(self._child, signal.SIGKILL)
        _, status = os.waitpid(self._child, 0)
        self._child = 0
        return status


def _pages(column: int) -> int:
    return int(Path("/proc/self/statm").read_text().split()[column]) * resource.getpagesize()


def _peak() -> int:
    """The largest resident size since /proc/self/clear_refs was written."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
