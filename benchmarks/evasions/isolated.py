"""A scan in a process of its own, with a limit on time and memory, so that a hang, a crash or a bomb is an outcome and not an end."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.evasions.build import adapter, write

MEMORY = 1 << 30
"""Address space beyond the parent's; most of it is never touched."""
SECONDS = 20.0


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
    """Memory the scan added to the process at its worst, in bytes."""


def _look(path: Path) -> Seen:
    from scanner.errors import ScanError
    from scanner.report import reports
    from scanner.scan import scan

    try:
        result = scan(path)
        for report in reports().values():
            report().render(result)
    except ScanError as error:
        return Seen("refused", str(error))
    except BaseException:
        return Seen("crashed", traceback.format_exc()[-2000:])
    return Seen(str(result.verdict.outcome), result.verdict.headline, tuple(sorted({f.rule for f in result.findings})))


def examine(path: Path, seconds: float = SECONDS, memory: int = MEMORY) -> Seen:
    """Scan `path` in a forked process that may take so long and so much memory beyond what this process has."""
    reading, writing = os.pipe()
    before = _resident()
    child = os.fork()
    if child == 0:
        os.close(reading)
        limit = _virtual() + memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        seen = _look(path)
        with os.fdopen(writing, "wb") as stream:
            stream.write(json.dumps(asdict(seen)).encode("utf-8", "surrogatepass"))
        os._exit(0)
    os.close(writing)
    started, data = time.monotonic(), b""
    with os.fdopen(reading, "rb", buffering=0) as stream:
        while True:
            left = seconds - (time.monotonic() - started)
            if left <= 0 or not select.select([stream], [], [], left)[0]:
                os.kill(child, signal.SIGKILL)
                os.wait4(child, 0)
                return Seen("hung", f"no answer in {seconds:g} s", seconds=seconds)
            part = stream.read(1 << 16)
            if not part:
                break
            data += part
    taken = time.monotonic() - started
    _, status, usage = os.wait4(child, 0)
    peak = max(0, usage.ru_maxrss * 1024 - before)
    if not data:
        return Seen("killed", f"ended with status {status}", seconds=taken, peak=peak)
    fields: dict[str, Any] = json.loads(data)
    return Seen(fields["outcome"], fields["message"], tuple(fields["rules"]), taken, peak)


def warm() -> None:
    """Scan one honest adapter, so that what is imported once is not counted in the first case."""
    with tempfile.TemporaryDirectory() as folder:
        path = adapter(Path(folder))
        write(path, "chat_template.jinja", "{{ messages[0].content }}")
        seen = _look(path)
    if seen.outcome != "pass":
        raise RuntimeError(f"an honest adapter comes to {seen.outcome}: {seen.message}")


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _virtual() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    warm()
    for argument in sys.argv[1:]:
        print(json.dumps(asdict(examine(Path(argument)))))
