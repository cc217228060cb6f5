"""Run as a process of its own: renders one chat template after another on fixed conversations, in Jinja's sandbox and under limits.

Reads a request from standard input, `{"templates": [...], "tokens": {...}}`, and writes `ready`, then one line of
JSON for each template that it got through.
The environment is the one transformers renders in, apart from strings that remember what they are compared with.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

from jinja2 import TemplateError, runtime
from jinja2.sandbox import ImmutableSandboxedEnvironment

from probes.wrapper.syntax import without_generation
from probes.wrapper.watched import Length, Notes, Watched, join

SECONDS = 4
MEMORY = 512 * 1024 * 1024
LONGEST = 64 * 1024
TODAY = datetime(2026, 3, 17, 10, 30)
TOOL = {
    "type": "function",
    "function": {
        "name": "find_tide",
        "description": "Find the time of high water.",
        "parameters": {"type": "object", "properties": {"harbour": {"type": "string", "description": "Name of the harbour"}}, "required": ["harbour"]},
    },
}
_USER = ("Name three rivers.", "And two lakes?", "Which is the deepest?", "How deep is it?", "Who measured that?", "When?", "How?")
_ASSISTANT = ("Loire, Oder, Tagus.", "Garda and Ohrid.", "Ohrid.", "About 290 metres.", "Surveyors.", "In the last century.", "With a line.")
_CALL = {"id": "abc123def", "type": "function", "function": {"name": "find_tide", "arguments": {"harbour": "Brest"}}}


def conversations() -> dict[str, tuple[list[dict[str, Any]], dict[str, Any]]]:
    """What every template is rendered on: a name, the messages, and further variables."""
    turns: list[dict[str, Any]] = [
        {"role": role, "content": text} for pair in zip(_USER, _ASSISTANT, strict=True) for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    system: dict[str, Any] = {"role": "system", "content": "Answer in one line."}
    tool = [
        turns[0],
        {"role": "assistant", "content": "", "tool_calls": [_CALL]},
        {"role": "tool", "name": "find_tide", "tool_call_id": "abc123def", "content": "04:12"},
    ]
    parts: list[dict[str, Any]] = [{"role": "user", "content": [{"type": "text", "text": _USER[0]}]}]
    speak = {"add_generation_prompt": True}
    return {
        "one turn": (turns[:1], speak),
        "one turn, finished": (turns[:2], {"add_generation_prompt": False}),
        "a system prompt": ([system, *turns[:3]], speak),
        "many turns": (turns[:13], speak),
        "tools": ([system, turns[0]], {**speak, "tools": [TOOL]}),
        "a tool's answer": (tool, {**speak, "tools": [TOOL]}),
        "content in parts": (parts, speak),
        "thinking off": (turns[:1], {**speak, "enable_thinking": False}),
    }


def _watched(value: Any, notes: Notes) -> Any:
    """A copy in which the text of messages is watched."""
    if isinstance(value, list):
        return [_watched(v, notes) for v in value]
    if isinstance(value, dict):
        return {k: Watched._make(v, "message", notes) if k in ("content", "text") and isinstance(v, str) else _watched(v, notes) for k, v in value.items()}
    return value


def _environment(notes: Notes) -> ImmutableSandboxedEnvironment:
    def fail(message: str) -> None:
        raise TemplateError(message)

    def to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None, sort_keys: bool = False) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    made.concat = join  # type: ignore[method-assign]
    made.filters["tojson"] = to_json
    made.filters["string"] = lambda v: v if isinstance(v, str) else str(v)
    made.filters["length"] = made.filters["count"] = lambda v: Length._of(v) if isinstance(v, Watched) else len(v)
    plain = made.filters["join"]
    made.filters["join"] = _joining(plain)
    made.globals["raise_exception"] = fail
    made.globals["strftime_now"] = lambda form: Watched._make(TODAY.strftime(form), "clock", notes)
    return made


def _joining(plain: Any) -> Any:
    """The filter `join`, whose result is watched if a part is."""

    def joined(eval_ctx: Any, value: Any, d: str = "", attribute: Any = None) -> Any:
        parts = list(value)
        looked = [p.get(attribute) if isinstance(p, dict) and attribute is not None else p for p in parts]
        whole = plain(eval_ctx, parts, d, attribute)
        return join([whole, *(p._like("") for p in looked if isinstance(p, Watched))])

    for mark in ("jinja_pass_arg",):
        setattr(joined, mark, getattr(plain, mark))
    return joined


def render(template: str, tokens: dict[str, str]) -> dict[str, Any]:
    """Every conversation as `template` writes it, and what it looked for on the way."""
    notes, pages = Notes(), {}
    try:
        compiled = _environment(notes).from_string(without_generation(template))
    except Exception as error:  # Python's compiler on what Jinja made of a hostile template raises many kinds
        return {"problem": f"{type(error).__name__}: {error}"[:300], "pages": {}, "message": [], "clock": []}
    for name, (messages, more) in conversations().items():
        written: list[str] = []
        size = 0
        try:
            for piece in compiled.generate(**tokens, messages=_watched(messages, notes), **more):
                size += len(piece)
                if size > LONGEST:
                    raise MemoryError
                written.append(piece)
            pages[name] = {"text": "".join(map(str, written)), "error": ""}
        except MemoryError:
            return {"exceeded": f"more memory, or more than {LONGEST:,} characters, for {name}"}
        except (OverflowError, RecursionError) as error:
            return {"exceeded": f"what Python allows, for {name} ({type(error).__name__})"}
        except Exception as error:  # whatever a template does wrong
            pages[name] = {"text": "", "error": f"{type(error).__name__}: {error}"[:300]}
    return {"problem": "", "pages": pages, "message": notes.of("message"), "clock": notes.of("clock")}


def _limit() -> None:
    try:
        import resource
    except ImportError:  # Windows: the caller's deadline remains
        return
    for what, most in ((resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(what, (most, most))


def main() -> None:
    """Render what standard input asks for."""
    _limit()
    runtime.str_join = join  # type: ignore[assignment]
    request = json.loads(sys.stdin.buffer.read())
    print("ready", flush=True)
    for template in request["templates"]:
        print(json.dumps(render(template, request["tokens"])), flush=True)


if __name__ == "__main__":
    main()
