"""Run as a process of its own: renders one chat template after another on fixed conversations, in Jinja's sandbox and under limits.

Reads a request from standard input, `{"templates": [...], "tokens": {...}}`, and writes `ready`, then one line of
JSON for each template that it got through.
The environment is the one transformers renders in, apart from strings that remember what they are compared with.
"""

from __future__ import annotations

import contextlib
import json
import sys
from datetime import datetime
from functools import wraps
from typing import Any

from jinja2 import TemplateError, runtime
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from probes.wrapper.given import Answers, Given
from probes.wrapper.syntax import BYTES, NUMBER, without_generation
from probes.wrapper.watched import Notes, Watched, join, made_of, text

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


OTHERS: dict[str, Any] = {
    "documents": [
        {"doc_id": 1, "title": "Tides", "text": "High water is at 04:12.", "contents": "High water is at 04:12.", "content": "High water is at 04:12."}
    ],
    "enable_thinking": True,
}
"""What callers pass besides messages and tools."""
KNOWN = {"messages", "tools", "add_generation_prompt", *OTHERS}
GUESSES = 4
"""How often a template with variables of its own is rendered with something given for them: once with every condition on them true."""
GUESSED = ("a system prompt", "a tool's answer", "content in parts")


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
        "documents": ([system, turns[0]], {**speak, **OTHERS}),
    }


def _watched(value: Any, notes: Notes) -> Any:
    """A copy in which the text of messages is watched."""
    if isinstance(value, list):
        return [_watched(v, notes) for v in value]
    if isinstance(value, dict):
        return {k: Watched._make(v, "message", notes) if k in ("content", "text") and isinstance(v, str) else _watched(v, notes) for k, v in value.items()}
    return value


class _Watching(ImmutableSandboxedEnvironment):
    """The sandbox in which whatever is made of watched strings is watched too."""

    intercepted_binops = frozenset({"%"})

    def call_binop(self, context: runtime.Context, operator: str, left: Any, right: Any) -> Any:
        """The operator `%`."""
        return made_of(super().call_binop(context, operator, left, right), (left, right))

    def getitem(self, obj: Any, argument: Any) -> Any:
        """An item; what a dictionary holds under words is what a watched key is compared with."""
        if isinstance(obj, dict) and isinstance(argument, Watched):
            argument._notes.take(argument._source, list(obj))
        return super().getitem(obj, argument)

    def call(__self, __context: runtime.Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """A call; results of the methods of strings are made of the string and of the arguments."""
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, dict) and args and isinstance(args[0], Watched):
            args[0]._notes.take(args[0]._source, list(owner))
        if isinstance(owner, Watched) and getattr(__obj, "__name__", "") == "encode":
            owner._notes.take(owner._source, BYTES)
        result = super().call(__context, __obj, *args, **kwargs)
        return made_of(result, (owner, *args, *kwargs.values())) if isinstance(owner, str) else result

    def wrap_str_format(self, value: Any) -> Any:
        """The methods format and format_map."""
        owner = getattr(value, "__self__", None)
        if getattr(value, "__name__", "") not in ("format", "format_map") or not isinstance(owner, str):
            return None
        plain = super().wrap_str_format(getattr(str(str.__str__(owner)) if isinstance(owner, Watched) else owner, value.__name__))

        def filled(*args: Any, **kwargs: Any) -> Any:
            if isinstance(owner, Watched):
                names = args[0] if value.__name__ == "format_map" and args else (*range(len(args)), *kwargs)
                owner._notes.take(owner._source, [f"{{{name}}}" for name in names])
            return made_of(plain(*args, **kwargs), (owner, *args, *kwargs.values())) if plain else None

        return filled


def _filter(name: str, plain: Any) -> Any:
    """The filter `name`, whose result is watched where it is made of something watched."""

    @wraps(plain)
    def watching(*args: Any, **kwargs: Any) -> Any:
        values = args[1:] if hasattr(plain, "jinja_pass_arg") else args
        if values and isinstance(values[0], Given) and name not in ("list", "map", "select", "reject", "selectattr", "rejectattr"):
            return values[0]
        made_from = [*values, *kwargs.values()]
        if name == "join" and values:
            items = list(values[0])  # a generator can be gone over once
            args = (*args[: len(args) - len(values)], items, *values[1:])
            attribute = kwargs.get("attribute", values[2] if len(values) > 2 else None)
            made_from[0] = [i.get(attribute) if isinstance(i, dict) and attribute is not None else i for i in items]
        if name in ("int", "float", "filesizeformat") and values and isinstance(values[0], Watched) and values[0]._source == "message":
            values[0]._notes.take("message", NUMBER)
            return plain(*args, **kwargs)
        return made_of(plain(*args, **kwargs), made_from)

    return watching


def _test(name: str, plain: Any) -> Any:
    """The test `name`, which holds for what nobody knows as its answers have it."""

    @wraps(plain)
    def watching(*args: Any, **kwargs: Any) -> Any:
        if name in ("filter", "test") and isinstance(args[-1], Watched):
            args[-1]._notes.take(args[-1]._source, f"text that is {name}")
        found = next((a for a in args if isinstance(a, Given)), None)
        return plain(*args, **kwargs) if found is None else bool(found)

    return watching


def _environment(notes: Notes) -> ImmutableSandboxedEnvironment:
    def fail(message: str) -> None:
        raise TemplateError(message)

    def unknown(value: Any) -> str:
        if isinstance(value, Given):
            return ""
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")

    def to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None, sort_keys: bool = False) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys, default=unknown)

    made = _Watching(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"], finalize=lambda v: v if isinstance(v, str) else text(v))
    made.concat = join  # type: ignore[method-assign]
    made.filters["tojson"] = to_json
    made.filters["string"] = lambda v: v if isinstance(v, str) else str(v)
    made.filters |= {name: _filter(name, plain) for name, plain in made.filters.items()}
    made.tests |= {name: _test(name, plain) for name, plain in made.tests.items()}
    made.globals["raise_exception"] = fail
    made.globals["strftime_now"] = lambda form: Watched._make(TODAY.strftime(form), "clock", notes)
    return made


def render(template: str, tokens: dict[str, str]) -> dict[str, Any]:
    """Every conversation as `template` writes it, and what it looked for on the way."""
    notes, pages = Notes(), {}
    try:
        environment = _environment(notes)
        source = without_generation(template)
        compiled = environment.from_string(source)
        unknown = find_undeclared_variables(environment.parse(source)) - KNOWN - tokens.keys() - environment.globals.keys()
    except Exception as error:  # Python's compiler on what Jinja made of a hostile template raises many kinds
        return {"problem": f"{type(error).__name__}: {error}"[:300], "pages": {}, "message": [], "clock": []}
    for name, (messages, more) in conversations().items():
        try:
            pages[name] = {"text": _written(compiled, tokens, _watched(messages, notes), more), "error": ""}
        except MemoryError:
            return {"exceeded": f"more memory, or more than {LONGEST:,} characters, for {name}"}
        except (OverflowError, RecursionError) as error:
            return {"exceeded": f"what Python allows, for {name} ({type(error).__name__})"}
        except Exception as error:  # whatever a template does wrong
            pages[name] = {"text": "", "error": f"{type(error).__name__}: {error}"[:300]}
    for seed in range(GUESSES if unknown else 0):
        for name in GUESSED:
            messages, more = conversations()[name]
            answers = Answers(seed)
            with contextlib.suppress(Exception):  # values that nobody knows break honest templates too; only what is looked for counts
                _written(compiled, tokens, _watched(messages, notes), {**dict.fromkeys(sorted(unknown), Given(answers)), **OTHERS, **more})
    return {"problem": "", "pages": pages, "message": notes.of("message"), "clock": notes.of("clock")}


def _written(compiled: Any, tokens: dict[str, str], messages: Any, more: dict[str, Any]) -> str:
    """One conversation as the template writes it. Raises MemoryError when it is too long, and whatever the template does."""
    written: list[str] = []
    size = 0
    for piece in compiled.generate(**{**tokens, "messages": messages, **more}):
        size += len(piece)
        if size > LONGEST:
            raise MemoryError
        written.append(piece)
    return "".join(map(str, written))


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
    runtime.str_join = runtime.markup_join = join  # type: ignore[assignment]
    request = json.loads(sys.stdin.buffer.read())
    print("ready", flush=True)
    for template in request["templates"]:
        print(json.dumps(render(template, request["tokens"])), flush=True)


if __name__ == "__main__":
    main()
