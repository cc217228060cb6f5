"""Run one scanner's command line on one path after another, its modules imported once. Needs nothing but Python.

A line of standard input is a JSON list of arguments; the answer is a line of exit code, seconds, and the end of what was printed. The scanner
runs in a forked child, so its exit code, its crash or its hang is the command's own; the first line alone runs in the parent, for what is
imported late. The entry point is `module:function`.

    VENV/bin/python command.py picklescan.cli:main SECONDS
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

UNCAUGHT = "unmask-benchmark: the command ended in this exception"


def serve(entry: str, seconds: float) -> None:
    """Answer every line of standard input."""
    module, _, function = entry.partition(":")
    main = getattr(importlib.import_module(module), function)
    answers = os.fdopen(os.dup(1), "w")
    errors, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    sys.argv = json.loads(sys.stdin.readline())
    run(main)
    sys.stdout.flush()
    os.dup2(errors, 2)
    for line in sys.stdin:
        print(json.dumps(once(main, json.loads(line), seconds)), file=answers, flush=True)


def once(main: object, arguments: list[str], seconds: float) -> dict[str, object]:
    """The command with `arguments`: exit code (negative for a signal, None where it hung), seconds, and the end of its output."""
    with tempfile.TemporaryFile() as output:
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            os.setsid()
            for stream in (1, 2):
                os.dup2(output.fileno(), stream)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            sys.argv = arguments
            own = run(main)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(own)
        code = wait(child, started + seconds)
        output.seek(0)
        return {"code": code, "seconds": round(time.monotonic() - started, 3), "output": output.read().decode("utf-8", "replace")[-1500:]}


def run(main: object) -> int:
    """The exit code that Python would leave."""
    import traceback

    try:
        result = main()  # type: ignore[operator]
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        print(UNCAUGHT, file=sys.stderr)
        return 1
    return result if isinstance(result, int) else 0


def wait(child: int, until: float) -> int | None:
    """The child's exit code; it is killed, and None returned, when it has not ended at `until`."""
    pause = 0.005
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(pause)
        pause = min(pause * 1.3, 0.1)


if __name__ == "__main__":
    sys.argv[0] = str(Path(sys.argv[0]))
    serve(sys.argv[1], float(sys.argv[2]))
